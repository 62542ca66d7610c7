"""Which of the judged pairs are told: each LoRA is explained once, by its nearest.

A noisy copy of a checkpoint is itself near the run's other checkpoints, and a part of
one lies near the copy of another. Such pairs are true and say nothing new, so a part
is told beside the whole that it is cut from, a copy beside what it was copied from,
and who is of one family already is not called near.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from lorajax.library.duplicates.comparing import Comparison
from lorajax.library.duplicates.verdicts import Verdict, is_smaller
from lorajax.library.joined import Joined


@dataclass(frozen=True, slots=True)
class Judged:
    """Two LoRAs by their places; of nearly the same ones `a` would be kept."""

    a: int
    b: int
    found: Comparison
    verdict: Verdict

    @property
    def is_noisy(self) -> bool:
        """Whether b is a with noise or rounding: near, and made alike."""
        alike = self.found.modules and self.found.rank == 0
        return self.verdict is Verdict.NEAR and alike


def parts(judged: Iterable[Judged]) -> list[Judged]:
    """Every part beside the whole that it fits best."""
    best: dict[int, tuple[float, Judged]] = {}
    for pair in judged:
        if pair.verdict is Verdict.RESIZED:
            a_is_part = is_smaller(pair.found)
            part = pair.a if a_is_part else pair.b
            error = pair.found.a_in_b if a_is_part else pair.found.b_in_a
            if part not in best or error < best[part][0]:
                best[part] = error, pair
    return [pair for _, pair in best.values()]


def checkpoints(judged: Iterable[Judged]) -> list[Judged]:
    """Pairs of one run, but for those of noisy copies, whose originals speak for them.

    An eight-bit copy of a checkpoint is no checkpoint.
    """
    judged = list(judged)
    noisy = {pair.b for pair in judged if pair.is_noisy}
    return [
        pair
        for pair in judged
        if pair.verdict is Verdict.EPOCHS and not noisy & {pair.a, pair.b}
    ]


def near_copies(judged: Iterable[Judged], family: Joined) -> list[Judged]:
    """Pairs that are near and not yet of one family; `family` grows by them.

    Copies made alike come first, and the most similar of them.
    """
    near = [pair for pair in judged if pair.verdict is Verdict.NEAR]
    told = []
    for pair in sorted(near, key=lambda p: (not p.is_noisy, -p.found.cosine)):
        if family.root(pair.a) != family.root(pair.b):
            family.join(pair.a, pair.b)
            told.append(pair)
    return told
