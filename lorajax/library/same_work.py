"""Which LoRAs are one piece of work: copies of one update, and epochs of one run.

Receives content keys, hands out a group number each. Copies must not make a cluster
and must not vouch for each other's labels; neither must the epochs of a run. Whether
two updates are one is `same_update`'s to say; here it is asked of a whole collection.
"""

import math
from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Int

from lorajax.adapters.fingerprint import (
    NUMBERS,
    STEP,
    TOLERANCE,
    Fingerprint,
    parse_fingerprint,
    same_update,
)
from lorajax.library.entry import Entry
from lorajax.library.joined import Joined
from lorajax.library.store import Library
from lorajax.library.store.file_store import read_told

_TOLD = 'SELECT key, told FROM paths WHERE told LIKE \'%"session": "_%\''
_AS_STRONG = """
SELECT key, fingerprint FROM loras
WHERE base_model = ? AND norm BETWEEN ? AND ? AND key != ? AND fingerprint != ''
"""
# Copies differ in their norms by less than they differ.
_NORMS_ALIKE = 2 * TOLERANCE
# Points that the tree is asked about at once: what it finds of them lies in memory.
_ASKED = 1024


def same_updates(
    fingerprints: Sequence[Fingerprint | None], tolerance: float = TOLERANCE
) -> Joined:
    """Updates that are the same, whatever their strength, or joined by such as are.

    Fingerprints are points in 16 dimensions: copies lie within rounding of each other,
    and a tree finds them without comparing all with all.

    Args:
      fingerprints: of one base model; who has none is alone.
      tolerance: the difference of two directions that counts as rounding.
    """
    from sklearn.neighbors import KDTree

    joined = Joined(len(fingerprints))
    first: dict[tuple[int, ...], tuple[int, Fingerprint]] = {}
    for place, mark in enumerate(fingerprints):
        if mark is not None:
            joined.join(first.setdefault(mark.direction, (place, mark))[0], place)
    if len(first) < 2:
        return joined
    points, marked = np.array(list(first), "f4"), list(first.values())
    tree = KDTree(points)
    # A little more than the rule takes, which has the last word.
    radius = 1.001 * tolerance * math.sqrt(NUMBERS) / STEP
    for start in range(0, len(points), _ASKED):
        near = tree.query_radius(points[start : start + _ASKED], radius)
        for (place, mark), others in zip(marked[start:], near, strict=False):
            for other, its in (marked[point] for point in others):
                apart = joined.root(place) != joined.root(other)
                if apart and same_update(mark, its, tolerance, scaled=True):
                    joined.join(place, other)
    return joined


def same_update_as(library: Library, entry: Entry) -> list[Entry]:
    """The other LoRAs that are one's update at its strength, by name.

    Their norms are exact and nearly the same, so that few fingerprints are looked at.
    """
    facts = entry.facts
    if not facts.fingerprint or facts.norm is None:
        return []
    mark = parse_fingerprint(facts.fingerprint)
    reach = facts.norm * _NORMS_ALIKE
    bounds = (facts.norm - reach, facts.norm + reach)
    rows = library.query(_AS_STRONG, facts.base_model, *bounds, entry.key)
    keys = [key for key, text in rows if same_update(mark, parse_fingerprint(text))]
    found = [library.entry(key) for key in keys]
    return sorted(filter(None, found), key=lambda one: (one.name, one.key))


def update_groups(
    library: Library, keys: Sequence[str], tolerance: float = TOLERANCE
) -> Int[np.ndarray, " n"]:
    """One number for all copies of an update, whatever their strength."""
    return _copies(library, keys, tolerance).numbers()


def work_groups(
    library: Library, keys: Sequence[str], tolerance: float = TOLERANCE
) -> Int[np.ndarray, " n"]:
    """One number for all copies of an update and all epochs of its run."""
    joined = _copies(library, keys, tolerance)
    places = {key: place for place, key in enumerate(keys)}
    sessions: dict[Hashable, int] = {}
    for key, text in library.query(_TOLD):
        if key in places and (session := read_told(text).session):
            joined.join(sessions.setdefault(session, places[key]), places[key])
    return joined.numbers()


def _copies(library: Library, keys: Sequence[str], tolerance: float) -> Joined:
    rows = library.query("SELECT key, fingerprint FROM loras WHERE fingerprint != ''")
    known = dict(rows)
    texts = [known.get(key) for key in keys]
    return same_updates(
        [parse_fingerprint(text) if text else None for text in texts], tolerance
    )
