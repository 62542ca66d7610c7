"""Two-sided sketches: any update as a small square core, without ever forming it.

y = Ωₗᵀ ΔW Ωᵣ with seeded ±1 matrices per module. Inner products of cores estimate
inner products of updates without bias, and the cost is that of reading the factors.
Reference: Kronecker-structured Johnson–Lindenstrauss transforms.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.algebra import sketch
from lorajax.projection.signs import sign_matrix


@dataclass(frozen=True)
class Sketches:
    """The flattened cores of `b` LoRAs; zero where a module is not live."""

    modules: tuple[str, ...]
    cores: Float[np.ndarray, "b n s2"]
    live: Bool[np.ndarray, "b n"]


def sketch_module(adapter: Adapter, module: str, side: int) -> np.ndarray:
    """The core of one live module, flattened to `[side * side]`."""
    update = adapter.updates[module]
    out, in_ = update.shape
    left = sign_matrix(f"{module}/left", out, side)
    right = sign_matrix(f"{module}/right", in_, side)
    return np.asarray(sketch(update, left, right), "f4").reshape(-1)


def sketch_adapter(adapter: Adapter, side: int) -> dict[str, np.ndarray]:
    """The cores of all live modules."""
    return {module: sketch_module(adapter, module, side) for module in adapter.updates}


def gather(sketches: Sequence[dict[str, np.ndarray]], side: int) -> Sketches:
    """Stacks the cores of several LoRAs over the modules that any of them has."""
    modules = tuple(sorted({name for own in sketches for name in own}))
    cores = np.zeros((len(sketches), len(modules), side * side), "f4")
    live = np.zeros((len(sketches), len(modules)), bool)
    for i, own in enumerate(sketches):
        for n, module in enumerate(modules):
            if module in own:
                cores[i, n], live[i, n] = own[module], True
    return Sketches(modules, cores, live)


def sketch_all(adapters: Iterable[Adapter], side: int) -> Sketches:
    """Sketches of LoRAs that are read one after the other and not kept."""
    return gather([sketch_adapter(adapter, side) for adapter in adapters], side)
