"""Which LoRAs are one piece of work: copies of one update, and epochs of one run.

Receives content keys, hands out a group number each. Copies must not make a cluster
and must not vouch for each other's labels; neither must the epochs of a run.
"""

import math
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from jaxtyping import Int

from lorajax.adapters.fingerprint import NUMBERS, STEP, TOLERANCE, parse_fingerprint
from lorajax.library.file_store import read_told
from lorajax.library.store import Library

_TOLD = 'SELECT key, told FROM paths WHERE told LIKE \'%"session": "_%\''


def update_groups(
    library: Library, keys: Sequence[str], tolerance: float = TOLERANCE
) -> Int[np.ndarray, " n"]:
    """One number for all copies of an update, whatever their strength.

    Args:
      tolerance: the difference of two directions that counts as rounding.
    """
    parents = _Forest(len(keys))
    for first, second in _equal_pairs(library, keys, tolerance):
        parents.join(first, second)
    return parents.numbers()


def work_groups(
    library: Library, keys: Sequence[str], tolerance: float = TOLERANCE
) -> Int[np.ndarray, " n"]:
    """One number for all copies of an update and all epochs of its run."""
    parents = _Forest(len(keys))
    for first, second in _equal_pairs(library, keys, tolerance):
        parents.join(first, second)
    places = {key: place for place, key in enumerate(keys)}
    sessions: dict[Hashable, int] = {}
    for key, text in library.query(_TOLD):
        if key in places and (session := read_told(text).session):
            parents.join(sessions.setdefault(session, places[key]), places[key])
    return parents.numbers()


def _equal_pairs(
    library: Library, keys: Sequence[str], tolerance: float
) -> Iterable[tuple[int, int]]:
    """Pairs of places whose directions differ by no more than the tolerance."""
    from sklearn.neighbors import KDTree

    rows = library.query("SELECT key, fingerprint FROM loras WHERE fingerprint != ''")
    known = dict(rows)
    places = [place for place, key in enumerate(keys) if key in known]
    if len(places) < 2:
        return
    codes = [parse_fingerprint(known[keys[place]]).direction for place in places]
    points, which = np.unique(np.array(codes, "f8"), axis=0, return_inverse=True)
    which = which.reshape(-1)
    first = np.full(len(points), -1)
    for row, place in zip(which, places, strict=True):
        if first[row] < 0:
            first[row] = place
        yield int(first[row]), place
    radius = tolerance / STEP * math.sqrt(NUMBERS)
    for row, near in enumerate(KDTree(points).query_radius(points, radius)):
        for other in near[near > row]:
            yield int(first[row]), int(first[other])


class _Forest:
    """Sets that are joined pair by pair."""

    def __init__(self, count: int) -> None:
        self.parent = list(range(count))

    def root(self, place: int) -> int:
        while self.parent[place] != place:
            self.parent[place] = self.parent[self.parent[place]]
            place = self.parent[place]
        return place

    def join(self, first: int, second: int) -> None:
        first, second = sorted((self.root(first), self.root(second)))
        self.parent[second] = first

    def numbers(self) -> Int[np.ndarray, " n"]:
        """0, 1, … by the first place of each set."""
        roots = np.array([self.root(place) for place in range(len(self.parent))], int)
        return np.unique(roots, return_inverse=True)[1].reshape(-1)
