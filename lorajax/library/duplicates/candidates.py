"""Pairs of LoRAs that are worth comparing, found without comparing all of them.

Fingerprints tell copies, as near as three times their rounding. Sketches are 512
numbers: all inner products of a base model are computed block by block, and of each
LoRA only its nearest few are kept.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from lorajax.adapters.fingerprint import Fingerprint
from lorajax.library.same_work import same_updates

# Three times the distance that counts as the same, since fingerprints only estimate it.
ALIKE = 0.045
STRENGTHS_ALIKE = 0.04
NEIGHBOURS = 16
_ROWS, _COLUMNS = 1024, 8192


def alike(fingerprints: Sequence[Fingerprint]) -> list[list[int]]:
    """Places of LoRAs whose directions are joined by small steps, two or more each.

    Within a list they are sorted by strength.
    """
    strengths = [f.strength for f in fingerprints]
    groups = same_updates(fingerprints, ALIKE).sets()
    return [sorted(group, key=strengths.__getitem__) for group in groups]


def by_strength(places: Sequence[int], norms: Sequence[float]) -> list[list[int]]:
    """Cuts a list sorted by strength wherever the strength jumps."""
    runs: list[list[int]] = [[places[0]]]
    for before, place in pairwise(places):
        if norms[place] > norms[before] * (1 + STRENGTHS_ALIKE):
            runs.append([])
        runs[-1].append(place)
    return runs


def nearest(
    sketches: Float[np.ndarray, "n e"],
    least: float,
    on_rows: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Int[np.ndarray, "n k"], Float[np.ndarray, "n k"]]:
    """The nearest others of every row and their cosines, nearest first.

    Needs n² e operations and memory for one block of rows.

    Args:
      least: cosines below it are left out: −1 as a place, 0 as a cosine.
    """
    norms = np.linalg.norm(sketches, axis=1)
    unit = sketches / np.maximum(norms, np.finfo("f4").tiny)[:, None]
    n = len(unit)
    k = min(NEIGHBOURS, max(n - 1, 1))
    places, cosines = np.full((n, k), -1), np.zeros((n, k), "f4")
    for start in range(0, n, _ROWS):
        rows = slice(start, min(start + _ROWS, n))
        found = _nearest_of(unit, rows, least, k)
        places[rows], cosines[rows] = found
        on_rows(rows.stop, n)
    return places, cosines


def _nearest_of(
    unit: Float[np.ndarray, "n e"], rows: slice, least: float, k: int
) -> tuple[Int[np.ndarray, "b k"], Float[np.ndarray, "b k"]]:
    here = rows.stop - rows.start
    best = np.zeros((here, k), "f4")
    which = np.full((here, k), -1)
    for start in range(0, len(unit), _COLUMNS):
        block = unit[rows] @ unit[start : start + _COLUMNS].T
        own = np.arange(rows.start, rows.stop) - start
        inside = (own >= 0) & (own < block.shape[1])
        block[np.flatnonzero(inside), own[inside]] = 0.0
        floor = np.maximum(best[:, -1:], least)
        rows_found, columns_found = np.nonzero(block > floor)
        cuts = np.searchsorted(rows_found, np.arange(here + 1))
        for row in np.unique(rows_found):
            columns = columns_found[cuts[row] : cuts[row + 1]]
            values = np.concatenate([best[row], block[row, columns]])
            names = np.concatenate([which[row], columns + start])
            order = np.argsort(-values, kind="stable")[:k]
            best[row], which[row] = values[order], names[order]
    return which, best
