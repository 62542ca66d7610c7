"""One place for all copies of an update, so that ten copies do not fill ten places.

Files of one content key are one LoRA to begin with. Here other LoRAs join that are the
same update in another dialect, number format or rank, as their fingerprints tell.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from lorajax.adapters.fingerprint import (
    TOLERANCE,
    Fingerprint,
    parse_fingerprint,
    same_update,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A LoRA in its place of a ranking; without a query it has no similarity."""

    key: str
    base_model: str
    fingerprint: str
    similarity: float | None = None


@dataclass(slots=True)
class Group:
    """The best-ranked LoRA of an update and those that are the same, in their order."""

    best: Candidate
    same: list[Candidate] = field(default_factory=list)


def fold(candidates: Iterable[Candidate], k: int) -> list[Group]:
    """The first k updates of a ranking; each with all its copies among the candidates.

    A candidate joins the first group whose best it equals, never a chain of copies, so
    that the ends of a group are no further apart than the fingerprints' tolerance.
    """
    groups: list[Group] = []
    known: dict[tuple[str, int], list[tuple[Fingerprint, Group]]] = {}
    for candidate in candidates:
        mark = (
            parse_fingerprint(candidate.fingerprint) if candidate.fingerprint else None
        )
        step = _step(mark) if mark else 0
        # What is the same update lies in the same step of strength, or in the next.
        near = (
            known.get((candidate.base_model, s), ()) for s in range(step - 1, step + 2)
        )
        pairs = [pair for some in near for pair in some] if mark else []
        same = next((g for m, g in pairs if mark and same_update(m, mark)), None)
        if same:
            same.same.append(candidate)
        elif len(groups) < k:
            groups.append(Group(candidate))
            if mark:
                place = known.setdefault((candidate.base_model, step), [])
                place.append((mark, groups[-1]))
    return groups


def _step(mark: Fingerprint) -> int:
    return math.floor(math.log(mark.norm) / (2 * TOLERANCE))
