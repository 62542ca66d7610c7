"""A LoRA at a lower rank: nearly the same LoRA, written with less.

With up = Q R and downᵀ = P T the singular values of ΔW = up @ down are those of the
small core R Tᵀ = U S Vᵀ, and its triples are the columns of Q U, S and P V; ΔW is never
formed. The leading ones are the nearest matrix of their rank.

References:
  Eckart and Young 1936, "The approximation of one matrix by another of lower rank".
"""

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.interface import Update
from lorajax.adapters.low_rank import NOISE, LowRankUpdate


def truncated(adapter: Adapter, share: float = 0.5) -> Adapter:
    """The adapter with the leading ceil(share · r) singular triples of every ΔW.

    r is the rank of ΔW itself, whatever it is written with. Updates without factors
    and those that lose nothing stay as they are; so does all that is said of the file.

    Args:
      adapter: one whose numbers are finite, as `check_numbers` sees to.
      share: of the rank, above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"expected a share above 0 and at most 1, got {share}")
    updates = {m: _truncated(u, share) for m, u in adapter.updates.items()}
    return replace(adapter, updates=updates)


def _truncated(update: Update, share: float) -> Update:
    pair = update.factors()
    if pair is None:
        return update
    left, values, right = _triples(*pair)
    rank = int((values > NOISE * values.max(initial=0.0)).sum())
    kept = math.ceil(share * rank)
    if kept == rank:
        return update
    up, down = left[:, :kept] * values[:kept], right[:kept]
    return LowRankUpdate(up.astype("f4"), down.astype("f4"))


def _triples(
    up: Float[np.ndarray, "out rank"], down: Float[np.ndarray, "rank in_"]
) -> tuple[
    Float[np.ndarray, "out k"], Float[np.ndarray, " k"], Float[np.ndarray, "k in_"]
]:
    """Left vectors, singular values and right vectors of up @ down, largest first."""
    left, rows = np.linalg.qr(up.astype("f8"))
    right, columns = np.linalg.qr(down.T.astype("f8"))
    inner_left, values, inner_right = np.linalg.svd(rows @ columns.T)
    k = len(values)
    return left @ inner_left[:, :k], values, inner_right[:k] @ right.T
