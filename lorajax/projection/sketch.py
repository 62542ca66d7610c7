"""Fit-free two-sided sketches: any update as a small square core.

y = Ωₗᵀ ΔW Ωᵣ with seeded ±1 matrices per module. Inner products of cores estimate
inner products of updates without bias, and the cost is that of reading the factors.
Reference: Kronecker-structured Johnson–Lindenstrauss transforms.
"""

import numpy as np

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.algebra import sketch
from lorajax.projection.signs import sign_matrix


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
