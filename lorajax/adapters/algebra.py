"""Inner products, sketches and spectra of any two updates, from `Update` alone.

Where an update has factors, ΔW is never formed:
⟨U₁V₁, U₂V₂⟩ = tr((U₁ᵀU₂)(V₂V₁ᵀ)), and the singular values of UV are those of the
small matrix R_U R_Vᵀ of two QR decompositions.
"""

import numpy as np
from jaxtyping import Float

from lorajax.adapters.interface import Update
from lorajax.adapters.low_rank import LowRankUpdate
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
    products = (
        float(np.vdot(a.rows(i, j).dense(), b.rows(i, j).dense()))
        for i, j in row_blocks(a.shape)
    )
    return sum(products, 0.0)


def sketch(
    update: Update,
    left: Float[np.ndarray, "out k"],
    right: Float[np.ndarray, "in_ l"],
) -> Float[np.ndarray, "k l"]:
    """leftᵀ ΔW right: a few numbers that keep inner products, for random sides.

    Only plain LoRA goes through factors: those of other families are far larger than
    what they are made of, and `matmul` knows a shorter way.
    """
    if isinstance(update, LowRankUpdate):
        up, down = update.factors()
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


def exact_rank(update: Update) -> int:
    """How many pairs `exact_factors` gives."""
    pair = update.factors()
    return min(update.shape) if pair is None else len(pair[1])


def exact_factors(
    update: Update,
) -> tuple[Float[np.ndarray, "out rank"], Float[np.ndarray, "rank in_"]]:
    """`(up, down)` of any update: where it has no small ones, ΔW and an identity.

    The identity stands on the shorter side.
    """
    if pair := update.factors():
        return pair
    dense = update.dense()
    out, in_ = dense.shape
    if out < in_:
        return np.eye(out, dtype=dense.dtype), dense
    return dense, np.eye(in_, dtype=dense.dtype)


def saves_memory(rank: int, shape: tuple[int, int]) -> bool:
    """Whether factors of this rank take at most half the memory of ΔW."""
    return 2 * rank * sum(shape) <= shape[0] * shape[1]


def blockwise_squared_norm(update: Update) -> float:
    """‖ΔW‖² from dense blocks of rows: for updates that have no shorter way."""
    blocks = (update.rows(i, j).dense() for i, j in row_blocks(update.shape))
    return sum((float(np.sum(np.square(b, dtype=np.float64))) for b in blocks), 0.0)


def row_blocks(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Ranges of rows whose dense blocks fit in bounded memory."""
    out, in_ = shape
    step = max(1, _CHUNK // max(in_, 1))
    return [(i, min(i + step, out)) for i in range(0, out, step)]
