"""A model of a few layers, and what a library makes of them against what we read."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn

from lorajax.adapters import Adapter, Update, read_adapter, with_base
from lorajax.formats import open_tensor_file
from tests.adapters.assertions import assert_behaves

BASE = "lorajax-zoo-1"
_STAGE = "unet.up_blocks.0"
_FORWARD = f"{_STAGE}.attentions.0.transformer_blocks.0.ff.net"
WIDE, TALL = f"{_FORWARD}.2", f"{_FORWARD}.0.proj"
SQUARE = f"{_STAGE}.attentions.0.transformer_blocks.0.attn2.to_k"
CONV, POINT = f"{_STAGE}.resnets.0.conv1", f"{_STAGE}.resnets.0.conv_shortcut"
TOLERANCE = 1e-5


def layers() -> dict[str, nn.Module]:
    """Random layers at places of the base model that tell outputs from inputs."""
    torch.manual_seed(0)
    made: dict[str, nn.Module] = {
        WIDE: nn.Linear(128, 64),
        TALL: nn.Linear(64, 256),
        SQUARE: nn.Linear(64, 64),
        CONV: nn.Conv2d(128, 64, 3, padding=1),
        POINT: nn.Conv2d(128, 64, 1),
    }
    return made


def randomise(module: nn.Module, size: float = 0.1, around: float = 0.0) -> None:
    """Random parameters, none of them zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(around + size * noise)


def write_base(folder: Path, weights: Mapping[str, np.ndarray]) -> Path:
    """The base model's weights as diffusers writes them, the component left out."""
    path = folder / "base.safetensors"
    tensors = {
        f"{name.partition('.')[2]}.weight": np.ascontiguousarray(weight)
        for name, weight in weights.items()
    }
    save_file(tensors, path)
    return path


def assert_same(
    path: Path,
    expected: Mapping[str, np.ndarray],
    base: Path | None = None,
    tier: str = "exact",
) -> Adapter:
    """Every ΔW of the file, and all algebra of it, is what the library says.

    Args:
      expected: module → ΔW in the library's own shape.
      base: weights that make the update exact; None where the file tells all.
      tier: of the file alone.
    """
    adapter = read_adapter(path)
    assert adapter.tier == tier
    if base is not None:
        adapter = with_base(adapter, open_tensor_file(base))
        assert adapter.tier == "exact"
    assert set(adapter.updates) == set(expected) and not adapter.unmapped
    for module, weight in expected.items():
        assert_update(adapter.updates[module], weight)
    return adapter


def assert_update(update: Update, weight: np.ndarray) -> None:
    dense = weight.reshape(len(weight), -1).astype(np.float64)
    error = np.linalg.norm(update.dense() - dense) / np.linalg.norm(dense)
    assert error < TOLERANCE, f"relative error {error:.2g}"
    assert_behaves(update, dense, 0)
