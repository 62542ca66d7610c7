"""Canonical modules as rows of a trainer's fused or reordered module."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from jaxtyping import Float

from lorajax.adapters.dora import Magnitude
from lorajax.adapters.interface import FileUpdate, Update
from lorajax.adapters.low_rank import LowRankUpdate
from lorajax.naming.layers import Rows


@dataclass(frozen=True, eq=False)
class StackedUpdate:
    """Updates of the same inputs, one above the other."""

    parts: tuple[Update, ...]

    @property
    def shape(self) -> tuple[int, int]:
        return sum(part.shape[0] for part in self.parts), self.parts[0].shape[1]

    def matmul(self, x: Float[np.ndarray, "in_ k"]) -> Float[np.ndarray, "out k"]:
        return np.concatenate([part.matmul(x) for part in self.parts])

    def rmatmul(self, x: Float[np.ndarray, "out k"]) -> Float[np.ndarray, "in_ k"]:
        spans = zip(self.parts, self._spans(), strict=True)
        products = [part.rmatmul(x[start:stop]) for part, (start, stop) in spans]
        return np.sum(products, axis=0)

    def rows(self, start: int, stop: int) -> Update:
        found = [
            part.rows(max(start - first, 0), min(stop, last) - first)
            for part, (first, last) in zip(self.parts, self._spans(), strict=True)
            if start < last and stop > first
        ]
        if not found:
            return self.parts[0].rows(0, 0)
        return found[0] if len(found) == 1 else StackedUpdate(tuple(found))

    def squared_norm(self) -> float:
        return sum(part.squared_norm() for part in self.parts)

    def factors(
        self,
    ) -> tuple[Float[np.ndarray, "out rank"], Float[np.ndarray, "rank in_"]] | None:
        """Those of the only part: of several, the ranks would add up."""
        return self.parts[0].factors() if len(self.parts) == 1 else None

    def dense(self) -> Float[np.ndarray, "out in_"]:
        return np.concatenate([part.dense() for part in self.parts])

    def is_zero(self) -> bool:
        return self.squared_norm() == 0.0

    def _spans(self) -> list[tuple[int, int]]:
        ends = accumulate((part.shape[0] for part in self.parts), initial=0)
        return list(pairwise(ends))


def cut(update: FileUpdate, rows: Rows) -> FileUpdate:
    """The rows that a canonical module is made of; all where none are named.

    Args:
      rows: spans [start, stop), in the order of the module's own rows.
    """
    if not rows:
        return update
    if isinstance(update, LowRankUpdate):
        up = take(update.stored_up, rows)
        return LowRankUpdate(up, update.stored_down, update.scale)
    parts = tuple(update.rows(*span) for span in rows)
    return StackedUpdate(parts)


def cut_magnitude(magnitude: Magnitude, rows: Rows) -> Magnitude:
    """Those of the same rows; those of inputs belong to all rows together."""
    if magnitude.axis == "in":
        return magnitude
    return Magnitude(take(magnitude.values, rows), "out")


def take(
    array: Float[np.ndarray, "whole ..."], rows: Rows
) -> Float[np.ndarray, "rows ..."]:
    """These rows, one span after the other; all where none are named."""
    if len(rows) < 2:
        return array[slice(*rows[0])] if rows else array
    return np.concatenate([array[slice(*span)] for span in rows])


def put_back(
    parts: Sequence[tuple[Float[np.ndarray, "_ ..."], Rows]],
) -> Float[np.ndarray, "whole ..."]:
    """The array that `take` made these parts of; together they have all its rows."""
    first, rows = parts[0]
    if not rows:
        return first
    total = sum(len(part) for part, _ in parts)
    whole = np.empty((total, *first.shape[1:]), first.dtype)
    for part, spans in parts:
        ends = accumulate((stop - start for start, stop in spans), initial=0)
        for (start, stop), own in zip(spans, pairwise(ends), strict=True):
            whole[start:stop] = part[slice(*own)]
    return whole
