"""Files to measure on: LoRAs in kohya's naming, made of a base model's module table.

Every file is drawn from its seed, so no two hold the same bytes and any machine can
draw them again. The factors look trained: each module has its own strength, and the
singular values of its update fall off as 1/k down to a floor of noise. Files lie in
`.cache/benchmarks` and are drawn once.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from lorajax.naming.bases import base_of
from lorajax.naming.layers import Layer, flat

CACHE = Path(__file__).parent.parent / ".cache" / "benchmarks"
# Raise it when other bytes are drawn, so that files of before are not taken for them.
VERSION = 1
STRENGTH = 0.02
NOISE = 0.05


@dataclass(frozen=True)
class Kind:
    """Files of one size: `rank` for the modules that trainers usually update.

    Attributes:
      base_model: whose modules.
      rank: of every module.
      declared: what kohya's trainer calls the base model in the file's metadata.
      without: modules with such a part in their names are left alone.
      own: how names begin where kohya's trainer keeps those of the model's own code.
    """

    base_model: str
    rank: int
    declared: str
    without: tuple[str, ...] = ("resnets", "samplers")
    own: tuple[str, ...] = ()


SD1 = Kind("sd1", 32, "sd_v1")
_SDXL = ("input_blocks", "middle_block", "output_blocks")
_FLUX = ("double_blocks", "single_blocks")
SDXL = Kind("sdxl", 32, "sdxl_base_v1-0", own=_SDXL)
FLUX = Kind("flux", 16, "flux1", without=("text_encoder",), own=_FLUX)


def lora_files(kind: Kind, count: int) -> list[Path]:
    """`count` files of one kind and of different contents."""
    return [lora_file(kind, seed) for seed in range(count)]


def lora_file(kind: Kind, seed: int) -> Path:
    """The file of a seed, drawn if it is not there yet."""
    path = CACHE / f"{kind.base_model}-r{kind.rank}-s{seed}-v{VERSION}.safetensors"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        save_file(draw_tensors(kind, seed), part, metadata=_metadata(kind))
        part.replace(path)
    return path


def draw_tensors(kind: Kind, seed: int) -> dict[str, np.ndarray]:
    """The tensors of one file, in float16."""
    rng = np.random.default_rng([seed, VERSION])
    tensors: dict[str, np.ndarray] = {}
    for name, shape in modules(kind):
        up, down = draw_factors(rng, shape[0], math.prod(shape[1:]), kind.rank)
        tensors[f"{name}.lora_up.weight"] = up.reshape(*up.shape, *_ones(shape))
        tensors[f"{name}.lora_down.weight"] = down.reshape(kind.rank, *shape[1:])
        tensors[f"{name}.alpha"] = np.array(kind.rank / 2, "f2")
    return tensors


def draw_factors(
    rng: np.random.Generator, out: int, in_: int, rank: int
) -> tuple[np.ndarray, np.ndarray]:
    """`up` [out, rank] and `down` [rank, in] of one module, in float16."""
    strength = STRENGTH * math.exp(0.5 * rng.standard_normal())
    spectrum = strength * (1 / np.arange(1, rank + 1) + NOISE)
    up = rng.standard_normal((out, rank), "f4") * spectrum.astype("f4")
    down = rng.standard_normal((rank, in_), "f4") * np.float32(in_**-0.5)
    return up.astype("f2"), down.astype("f2")


def modules(kind: Kind) -> Iterator[tuple[str, tuple[int, ...]]]:
    """kohya's name and the weight's shape of every module in the files of a kind."""
    for component in base_of(kind.base_model).components:
        prefix = next(p for p in component.prefixes if p.startswith("lora_"))
        own = any(_own_names(kind, layer) for layer in component.layers)
        for layer in component.layers:
            names = _own_names(kind, layer) if own else layer.names
            module = layer.pieces[0].module
            path = f"{component.name}.{module}"
            if names and not any(part in path for part in kind.without):
                yield prefix + flat(names[0]), layer.shape


def sides(kind: Kind) -> list[tuple[int, int]]:
    """(out, in) of every module, convolutions flattened."""
    return [(shape[0], math.prod(shape[1:])) for _, shape in modules(kind)]


def _own_names(kind: Kind, layer: Layer) -> list[str]:
    """The names of the model's own code, where kohya's trainer follows it."""
    return [
        name
        for name in layer.names
        if name.startswith(kind.own) and ".processor." not in name
    ]


def _ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The kernel size of `up` beside a convolution: 1 x 1."""
    return (1,) * (len(shape) - 2)


def _metadata(kind: Kind) -> dict[str, str]:
    return {
        "ss_base_model_version": kind.declared,
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(kind.rank),
        "ss_network_alpha": str(kind.rank / 2),
    }
