"""What two LoRAs are to each other, from how their updates compare.

The thresholds are measured, `docs/duplicates.md` says on what: in a trained collection
and among real files two different LoRAs end at a cosine of 0.72, and two checkpoints of
one run begin at 0.88.
"""

from dataclasses import dataclass
from enum import StrEnum

from lorajax.library.duplicates.comparing import SAME, Comparison
from lorajax.library.duplicates.found import Kind

# A copy of which no part is told to be left out or changed on purpose.
NEAR = 0.95
# Resized copies keep at least this much of the direction.
RESIZED = 0.8
_PART = 0.005
# Two checkpoints by their weights alone, and where something else says so as well.
EPOCHS = 0.85
HINTED = 0.5
# Rounding and noise grow by less than 0.15, training by 0.24 and more of what it moves.
_GROWTH = 0.18
_SPREAD = 1.8
_CUT_SPREAD = 3.0
_SMALLEST_STEP = 0.004


class Verdict(StrEnum):
    """What B is to A."""

    SAME = Kind.UPDATE.value
    SCALED = Kind.SCALED.value
    RESIZED = Kind.RESIZED.value
    EPOCHS = "epochs"
    NEAR = Kind.NEAR.value
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two LoRAs, content keys, and how the second compares with the first."""

    a: str
    b: str
    found: Comparison
    verdict: Verdict


def judge(found: Comparison, hinted: bool = False, eight_bits: bool = False) -> Verdict:
    """The surest thing that is true of two updates.

    Args:
      hinted: whether names or folders say that both are of one run.
      eight_bits: whether one of the two is stored in eight bits, whose rounding
        explains a distance that would else be training.
    """
    if found.residual <= SAME and not _trained_on(found) and not _cut(found):
        return Verdict.SAME if found.distance <= SAME else Verdict.SCALED
    if found.cosine >= RESIZED and _is_part(found):
        return Verdict.RESIZED
    alike = found.modules and found.rank == 0 and not eight_bits
    least = HINTED if hinted else EPOCHS
    if alike and found.cosine >= least and (hinted or _trained_on(found)):
        return Verdict.EPOCHS
    return Verdict.NEAR if found.cosine >= NEAR else Verdict.OTHER


def _trained_on(found: Comparison) -> bool:
    """Whether the difference looks as if it had been learned, however small it is."""
    seen = found.residual > _SMALLEST_STEP
    return seen and found.growth >= _GROWTH and found.spread >= _SPREAD


def _cut(found: Comparison) -> bool:
    """Whether what is missing is no rounding, which all modules share alike."""
    seen = found.residual > _SMALLEST_STEP
    return seen and found.spread >= _CUT_SPREAD and _is_part(found)


def _is_part(found: Comparison) -> bool:
    """Whether one holds a part of the other: fewer singular triples, or modules."""
    if found.modules and found.rank in (0, None):
        return False
    a_is_part = is_smaller(found)
    if found.rank == (1 if a_is_part else -1):
        return False
    return (found.a_in_b if a_is_part else found.b_in_a) <= _PART


def is_smaller(found: Comparison) -> bool:
    """Whether A is the one that may be a part of B."""
    return found.ratio > 1
