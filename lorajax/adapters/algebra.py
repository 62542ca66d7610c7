"""Inner products, sketches and spectra of any two updates, from `Update` alone.

Where an update has factors, ΔW is never formed:
⟨U₁V₁, U₂V₂⟩ = tr((U₁ᵀU₂)(V₂V₁ᵀ)), and the singular values of UV are those of the
small matrix R_U R_Vᵀ of two QR decompositions.
"""

import numpy as np
from jaxtyping import Float

from lorajax.adapters.interface import Update
from lorajax.errors import AdapterError

# Numbers of ΔW that are formed at a time where an update has no factors.
_CHUNK = 2**22


def inner(a: Update, b: Update) -> float:
    """⟨ΔW_a, ΔW_b⟩, the sum over all entries of the product.

    Raises:
      ValueError: if the two are updates of weights of different shapes.
    """
    if a.shape != b.shape:
        raise ValueError(f"expected updates of one shape, got {a.shape} and {b.shape}")
    if factors := a.factors():
        up, down = factors
        if others := b.factors():
            return float(np.sum((up.T @ others[0]) * (down @ others[1].T)))
        return float(np.sum(up * b.matmul(down.T)))
    if b.factors():
        return inner(b, a)
    return sum(
        float(np.vdot(a.rows(i, j).dense(), b.rows(i, j).dense()))
        for i, j in _row_blocks(a)
    )


def sketch(
    update: Update,
    left: Float[np.ndarray, "out k"],
    right: Float[np.ndarray, "in_ l"],
) -> Float[np.ndarray, "k l"]:
    """leftᵀ ΔW right: a few numbers that keep inner products, for random sides."""
    if factors := update.factors():
        up, down = factors
        return (left.T @ up) @ (down @ right)
    return left.T @ update.matmul(right)


def spectrum(update: Update) -> Float[np.ndarray, " rank"]:
    """The singular values of ΔW, largest first, at most as many as it has factors.

    Raises:
      AdapterError: for an update without factors that is too large to decompose.
    """
    if factors := update.factors():
        up, down = factors
        left = np.linalg.qr(up, mode="r")
        right = np.linalg.qr(down.T, mode="r")
        core = np.matmul(left, np.transpose(right))
        return np.linalg.svd(core, compute_uv=False)
    if update.shape[0] * update.shape[1] > _CHUNK:
        raise AdapterError(
            f"expected at most {_CHUNK:,} numbers to decompose, found a module of "
            f"{update.shape[0]} x {update.shape[1]}"
        )
    return np.linalg.svd(update.dense(), compute_uv=False)


def _row_blocks(update: Update) -> list[tuple[int, int]]:
    """Ranges of rows whose dense blocks fit in bounded memory."""
    out, in_ = update.shape
    step = max(1, _CHUNK // max(in_, 1))
    return [(i, min(i + step, out)) for i in range(0, out, step)]
