"""Controls that nothing is fitted for: each LoRA by a part of its weights or by all."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.algebra import spectrum
from lorajax.adapters.interface import Update
from lorajax.adapters.low_rank import LowRankUpdate
from lorajax.evaluation.controls.kernels import (
    Vector,
    cosines_of,
    inner_products,
    inner_products_of_deltas,
    stacked,
)
from lorajax.evaluation.controls.reading import OnProgress, by_module
from lorajax.evaluation.controls.rows import DOWN, NORM, RAW, SPECTRUM, UNLEARNED

Kernels = dict[str, Float[np.ndarray, "b b"]]
Parts = Mapping[str, Float[np.ndarray, "b _"]]


def unlearned_similarities(
    adapters: Sequence[Adapter],
    on_progress: OnProgress = lambda done, total: None,
) -> dict[str, Float[np.ndarray, "b b"]]:
    """norm_only, spectrum_only, down_only and raw_delta_cosine between these LoRAs.

    Args:
      on_progress: called with (LoRAs read, LoRAs in all).
    """
    kernels = no_kernels(len(adapters))
    for updates in by_module(adapters, on_progress=on_progress):
        add_module(kernels, updates, parts_of(updates))
    return {name: cosines_of(kernel) for name, kernel in kernels.items()}


def no_kernels(count: int) -> Kernels:
    """Inner products of LoRAs without a module."""
    return {name: np.zeros((count, count)) for name in UNLEARNED}


def add_module(
    kernels: Kernels, updates: Sequence[Update | None], parts: Parts
) -> None:
    """Adds the inner products of one more module."""
    for name in PARTS:
        kernels[name] += inner_products(parts[name])
    kernels[RAW] += inner_products_of_deltas(updates)


def parts_of(updates: Sequence[Update | None]) -> Parts:
    """What each control of a part sees of one module."""
    return {name: stacked([part(u) for u in updates]) for name, part in PARTS.items()}


def _norm(update: Update | None) -> Vector:
    return np.sqrt([0.0 if update is None else update.squared_norm()])


def _spectrum(update: Update | None) -> Vector:
    """Where there are no factors, from ΔWΔWᵀ or ΔWᵀΔW, whichever is smaller.

    In double precision that is as exact as float32 factors are, and several times
    faster than decomposing ΔW.
    """
    if update is None:
        return np.zeros(0)
    if update.factors() is not None:
        return spectrum(update)
    out, in_ = update.shape
    if out <= in_:
        squares = update.matmul(update.rmatmul(np.eye(out)))
    else:
        squares = update.rmatmul(update.matmul(np.eye(in_)))
    values = np.linalg.eigvalsh((squares + squares.T) / 2)[::-1]
    return np.sqrt(np.maximum(values, 0.0))


def _down(update: Update | None) -> Vector:
    return update.down.ravel() if isinstance(update, LowRankUpdate) else np.zeros(0)


PARTS: dict[str, Callable[[Update | None], Vector]] = {
    NORM: _norm,
    SPECTRUM: _spectrum,
    DOWN: _down,
}
