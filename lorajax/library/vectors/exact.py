"""The nearest rows, exactly: one product with every row that counts."""

import numpy as np
from jaxtyping import Float, Int

from lorajax.library.vectors.table import unit

# Cosines in memory at once, and rows copied at once: 64 MB, and 32 MB at width 1,024.
_COSINES = 2**24
_GATHERED = 2**13
# Copying rows costs about as much as passing over six times as many where they lie.
_FEW = 1 / 6


def nearest(
    rows: Float[np.ndarray, "n e"],
    queries: Float[np.ndarray, "q e"],
    k: int,
    chosen: Int[np.ndarray, " m"] | None = None,
) -> tuple[Int[np.ndarray, "q k"], Float[np.ndarray, "q k"]]:
    """Rows and cosines of the k nearest of each query, nearest first; ties by row.

    Args:
      rows: of length one; a memory-mapped matrix is not copied.
      queries: of any length.
      k: how many; fewer come back where fewer rows count.
      chosen: the rows that count, growing; None is all.
    """
    queries = unit(queries)
    count = len(rows) if chosen is None else len(chosen)
    k = min(k, count)
    found = np.empty((len(queries), k), np.int64)
    similarity = np.empty((len(queries), k), rows.dtype)
    together = max(1, _COSINES // max(1, len(rows)))
    for start in range(0, len(queries) if k else 0, together):
        part = slice(start, start + together)
        for place, cosines in enumerate(_cosines(rows, queries[part], chosen), start):
            best = _largest(cosines, k)
            similarity[place] = cosines[best]
            found[place] = best if chosen is None else chosen[best]
    return found, similarity


def _cosines(
    rows: Float[np.ndarray, "n e"],
    queries: Float[np.ndarray, "q e"],
    chosen: Int[np.ndarray, " m"] | None,
) -> Float[np.ndarray, "q m"]:
    if chosen is None:
        return queries @ rows.T
    if len(chosen) > _FEW * len(rows):
        return (queries @ rows.T)[:, chosen]
    parts = range(0, len(chosen), _GATHERED)
    found = [queries @ rows[chosen[start : start + _GATHERED]].T for start in parts]
    return np.concatenate(found, axis=1)


def _largest(cosines: Float[np.ndarray, " m"], k: int) -> Int[np.ndarray, " k"]:
    """The places of the k largest, largest first; the first of equal ones."""
    limit = np.partition(cosines, len(cosines) - k)[len(cosines) - k]
    places = np.flatnonzero(cosines >= limit)
    return places[np.argsort(-cosines[places], kind="stable")][:k]
