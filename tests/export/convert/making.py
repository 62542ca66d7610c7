"""Small files of large models, with what their updates are."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from lorajax.adapters import read_adapter
from lorajax.naming import table_of

Tensors = dict[str, np.ndarray]
DTYPES = {"F16": np.float16, "BF16": ml_dtypes.bfloat16, "F32": np.float32}


@dataclass(frozen=True)
class Known:
    """An update in plain NumPy: scale · up @ down, all in double precision."""

    up: np.ndarray
    down: np.ndarray
    scale: float

    def matmul(self, x: np.ndarray) -> np.ndarray:
        return self.scale * (self.up @ (self.down @ x))

    def rows(self, start: int, stop: int) -> "Known":
        return Known(self.up[start:stop], self.down, self.scale)


def factors(
    shape: tuple[int, ...], rank: int, seed: int, dtype: str = "F32"
) -> tuple[np.ndarray, np.ndarray]:
    """up and down of a weight, as kohya stores them."""
    rng = np.random.default_rng(seed)
    up = rng.standard_normal((shape[0], rank, *(1 for _ in shape[2:])))
    down = rng.standard_normal((rank, *shape[1:]))
    return up.astype(DTYPES[dtype]), down.astype(DTYPES[dtype])


def known(up: np.ndarray, down: np.ndarray, scale: float) -> Known:
    return Known(
        up.reshape(len(up), -1).astype("f8"),
        down.reshape(len(down), -1).astype("f8"),
        scale,
    )


def kohya_layer(
    name: str, shape: tuple[int, ...], rank: int, alpha: float, seed: int, dtype: str
) -> tuple[Tensors, Known]:
    up, down = factors(shape, rank, seed, dtype)
    tensors = {
        f"{name}.lora_up.weight": up,
        f"{name}.lora_down.weight": down,
        f"{name}.alpha": np.array(alpha, DTYPES[dtype]),
    }
    return tensors, known(up, down, alpha / rank)


def shape_of(base: str, module: str) -> tuple[int, ...]:
    table = table_of(base)
    return table.modules[table.positions[module]].shape


def write(path: Path, tensors: Tensors, metadata: Mapping[str, str]) -> Path:
    save_file(tensors, path, dict(metadata))
    return path


def assert_same(path: Path, expected: Mapping[str, Known]) -> None:
    """Every ΔW is the known one; random directions see any difference."""
    adapter = read_adapter(path)
    assert set(adapter.updates) == set(expected)
    for module, update in adapter.updates.items():
        x = np.random.default_rng(5).standard_normal((update.shape[1], 3))
        wanted = expected[module].matmul(x)
        error = np.linalg.norm(update.matmul(x) - wanted)
        assert error <= 1e-6 * np.linalg.norm(wanted), module
