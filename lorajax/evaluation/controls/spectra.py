"""Controls on singular values: spectrum_statistics and dsire_spectra."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from lorajax.adapters.interface import Update
from lorajax.adapters.low_rank import LowRankUpdate
from lorajax.evaluation.controls.factors import z_scored
from lorajax.evaluation.controls.kernels import cosines_of, stacked

# Singular values of one matrix, a row for each LoRA; zeros where it has none.
Spectra = Float[np.ndarray, "b _"]
_NONE = np.zeros(0, np.float32)


def factor_spectra(updates: Sequence[Update | None]) -> tuple[Spectra, Spectra]:
    """Singular values of A and of B of one module."""
    pairs = [u.factors() if isinstance(u, LowRankUpdate) else None for u in updates]
    ups, downs = (
        [_NONE if pair is None else _singular_values(pair[side]) for pair in pairs]
        for side in (0, 1)
    )
    return stacked(downs), stacked(ups)


def five_statistics(spectra: Spectra) -> Float[np.ndarray, "b 5"]:
    """Norm, top value, stable rank, effective rank, participation ratio of each row.

    All are NaN where there is no update.
    """
    squared = spectra.astype("f8") ** 2
    energy = squared.sum(1)
    with np.errstate(invalid="ignore"):
        share = squared / np.where(energy > 0, energy, np.nan)[:, None]
    logarithm = np.log(np.where(share > 0, share, 1.0))
    norm = np.where(energy > 0, np.sqrt(energy), np.nan)
    top = share.max(1, initial=0.0)
    return np.stack(
        [
            norm,
            norm * np.sqrt(top),
            1 / top,
            np.exp(-(share * logarithm).sum(1)),
            1 / (share**2).sum(1),
        ],
        axis=1,
    )


def statistics(spectra: Sequence[Spectra]) -> Float[np.ndarray, "b 20"]:
    """The five of all modules: mean, standard deviation, minimum and maximum.

    All are 0 for a LoRA that updates nothing.
    """
    values = np.stack([five_statistics(module) for module in spectra])  # [n, b, 5]
    live = ~np.isnan(values)
    count = np.maximum(live.sum(0), 1)
    mean = np.where(live, values, 0.0).sum(0) / count
    spread = np.sqrt((np.where(live, values - mean, 0.0) ** 2).sum(0) / count)
    least = np.where(live, values, np.inf).min(0)
    most = np.where(live, values, -np.inf).max(0)
    rows = np.concatenate([mean, spread, least, most], axis=1)
    return np.where(np.isfinite(rows), rows, 0.0)


def statistics_similarity(
    rows: Float[np.ndarray, "b 20"],
    train: Int[np.ndarray, " t"],
    wanted: Int[np.ndarray, " w"],
) -> Float[np.ndarray, "w w"]:
    """Cosines of statistics, z-scored over the training LoRAs."""
    scores = z_scored(rows[np.concatenate([train, wanted])], len(train))[len(train) :]
    updates_nothing = (rows[wanted] == 0).all(axis=1, keepdims=True)
    scores = np.where(updates_nothing, 0.0, scores)
    return cosines_of(scores @ scores.T)


def dsire_similarity(
    spectra: Sequence[Spectra],
    train: Int[np.ndarray, " t"],
    wanted: Int[np.ndarray, " w"],
) -> Float[np.ndarray, "w w"]:
    """Minus the mean distance of spectra, each on the scale of the training LoRAs."""
    total, count = np.zeros((len(wanted),) * 2), 0
    for matrix in spectra:
        squared = (matrix[train].astype("f8") ** 2).sum(1)
        if squared.any():
            scale = np.sqrt(squared[squared > 0].mean())
            total += _distances(matrix[wanted] / scale)
            count += 1
    return -total / max(count, 1)


def _distances(rows: Float[np.ndarray, "w k"]) -> Float[np.ndarray, "w w"]:
    """Euclidean, of all pairs."""
    rows = rows.astype("f8")
    products = rows @ rows.T
    own = np.diag(products)
    squared = own[:, None] + own[None, :] - 2 * products
    np.fill_diagonal(squared, 0.0)
    return np.sqrt(np.maximum(squared, 0.0))


def _singular_values(factor: Float[np.ndarray, "m n"]) -> Float[np.ndarray, " _"]:
    return np.linalg.svd(factor, compute_uv=False)
