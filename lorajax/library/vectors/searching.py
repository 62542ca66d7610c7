"""The nearest vectors of a space: exactly, or through the index of a large matrix."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from lorajax.library.vectors import ann, exact
from lorajax.library.vectors.matrix import Matrix


@dataclass(frozen=True, slots=True)
class Found:
    """The nearest vectors of each query, nearest first.

    Attributes:
      similarity: cosines, exact ones also where an index proposed the vectors.
      approximate: whether an index proposed them, so that a neighbour may be missing.
      note: what a person should know of the search; "" where all is as it should be.
    """

    ids: Int[np.ndarray, "q k"]
    similarity: Float[np.ndarray, "q k"]
    approximate: bool = False
    note: str = ""


def search(
    matrix: Matrix,
    queries: Float[np.ndarray, "q e"],
    k: int,
    allowed: Bool[np.ndarray, " n"] | None = None,
    exactly: bool = False,
) -> Found:
    """The k nearest vectors of each query, or as many as there are.

    Args:
      queries: of any length, and of the width of the matrix.
      allowed: the rows to search among (`Matrix.mask`); None is all.
      exactly: whether to pass over every row even where there is an index.

    Raises:
      ValueError: for queries of another width.
    """
    rows = matrix.rows
    if queries.shape[1] != rows.shape[1]:
        raise ValueError(
            f"expected queries of width {rows.shape[1]}, found {queries.shape[1]}"
        )
    queries = queries.astype(np.float32, copy=False)
    mask = matrix.alive if allowed is None else matrix.alive & allowed
    note = matrix.note
    if not exactly and matrix.is_large:
        if matrix.index is None:
            note = (
                f"searched exactly: these {len(matrix)} vectors have no index yet; "
                "`lorajax library build-index` makes one"
            )
        else:
            pair = ann.nearest(matrix.index, rows, queries, k, mask)
            if pair is not None:
                return Found(matrix.ids[pair[0]], pair[1], True, note)
    chosen = None if mask.all() else np.flatnonzero(mask)
    found, similarity = exact.nearest(rows, queries, k, chosen)
    return Found(matrix.ids[found], similarity, note=note)
