"""Merges: LoRAs that are sums of a few others of the library.

Sketches are linear in ΔW, so a merge lies in the span of its parents' sketches: a
least-squares fit to the nearest sketches finds them, since whoever is no parent gets a
weight of nothing. What the sketches say is then shown with the files' own inner
products, or told as unconfirmed.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.algebra import inner

MOST_PARENTS = 4
# A parent that is less similar than this is not looked for.
LEAST_COSINE = 0.2
# ‖ΔW − Σ wᵢ ΔWᵢ‖ / ‖ΔW‖ that counts as a merge: by sketches, and by the files.
_SKETCHED, CONFIRMED = 0.05, 0.02
# A parent's share of the merge's length, and rounding's.
_LEAST_SHARE = 0.05
_RIDGE = 1e-6
_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Merge:
    """ΔW of one LoRA as Σ weight · ΔW of its parents.

    Attributes:
      merge, parents: places of LoRAs.
      residual: ‖ΔW − Σ wᵢ ΔWᵢ‖ / ‖ΔW‖.
    """

    merge: int
    parents: tuple[int, ...]
    weights: tuple[float, ...]
    residual: float
    confirmed: bool = False


def find_merges(
    sketches: Float[np.ndarray, "n e"],
    norms: Float[np.ndarray, " n"],
    neighbours: Int[np.ndarray, "n k"],
) -> list[Merge]:
    """What the sketches say; `sketches` are those of ΔW / ‖ΔW‖.

    Args:
      neighbours: places of possible parents; −1 is none.
    """
    found: list[Merge] = []
    for start in range(0, len(sketches), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(sketches)))
        for row in rows[_explained(sketches, rows, neighbours[rows])]:
            near = neighbours[row][neighbours[row] >= 0]
            if merge := _fit(sketches, norms, int(row), near):
                found.append(merge)
    return found


def _explained(
    sketches: Float[np.ndarray, "n e"],
    rows: Int[np.ndarray, " b"],
    neighbours: Int[np.ndarray, "b k"],
) -> np.ndarray:
    """Whether little is left of each row beside the span of its neighbours."""
    if neighbours.shape[1] < 2:
        return np.zeros(len(rows), bool)
    near = sketches[neighbours] * (neighbours >= 0)[:, :, None]  # [b, k, e]
    target = sketches[rows]
    gram = near @ near.transpose(0, 2, 1) + _RIDGE * np.eye(near.shape[1], dtype="f4")
    weights = np.linalg.solve(gram, near @ target[:, :, None])
    left = target - (weights * near).sum(axis=1)
    limit = _SKETCHED * np.linalg.norm(target, axis=1)
    return np.linalg.norm(left, axis=1) <= limit


def _fit(
    sketches: Float[np.ndarray, "n e"],
    norms: Float[np.ndarray, " n"],
    row: int,
    near: Int[np.ndarray, " k"],
) -> Merge | None:
    """The few parents that explain a row, two or more, all of positive weight."""
    target, length = sketches[row], np.linalg.norm(sketches[row])
    weights = np.linalg.lstsq(sketches[near].T, target, rcond=1e-4)[0]
    parents = near[np.abs(weights) >= _LEAST_SHARE]
    if not 2 <= len(parents) <= MOST_PARENTS:
        return None
    weights = np.linalg.lstsq(sketches[parents].T, target, rcond=1e-4)[0]
    residual = np.linalg.norm(target - weights @ sketches[parents]) / length
    if residual > _SKETCHED or weights.min() <= 0:
        return None
    scaled = weights * norms[row] / norms[parents]
    return Merge(
        row,
        tuple(int(parent) for parent in parents),
        tuple(float(weight) for weight in scaled),
        float(residual),
    )


def confirm(merge: Merge, adapter: Callable[[int], Adapter | None]) -> Merge | None:
    """The same by the files' own inner products; None where they deny it.

    Args:
      adapter: the LoRA at a place, None where no file is at hand.
    """
    places = (merge.merge, *merge.parents)
    gram = np.zeros((len(places), len(places)))
    for i, a in enumerate(places):
        for j in range(i, len(places)):
            first, second = adapter(a), adapter(places[j])
            if first is None or second is None:
                return merge
            gram[i, j] = gram[j, i] = _inner(first, second)
    return _exact(merge, gram)


def _exact(merge: Merge, gram: Float[np.ndarray, "p p"]) -> Merge | None:
    dots, among = gram[0, 1:], gram[1:, 1:]
    weights = np.linalg.lstsq(among, dots, rcond=1e-8)[0]
    left = gram[0, 0] - 2 * weights @ dots + weights @ among @ weights
    residual = math.sqrt(max(left / gram[0, 0], 0.0))
    if residual > CONFIRMED or weights.min() <= 0:
        return None
    told = tuple(float(weight) for weight in weights)
    return Merge(merge.merge, merge.parents, told, residual, True)


def _inner(a: Adapter, b: Adapter) -> float:
    shared: Sequence[str] = [m for m in a.updates if m in b.updates]
    return sum((inner(a.updates[m], b.updates[m]) for m in shared), 0.0)
