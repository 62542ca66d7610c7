"""Which LoRA of a group one would keep, and groups made of what was compared.

Weights do not tell which of two copies was first, but they tell which holds more: the
finer number format, then the higher rank where that adds anything, then what is said
of it, then age. Everything beyond level 3 is a difference a person may want, so only a
scaled copy, which the kept one gives exactly at another strength, is called redundant.
"""

from collections.abc import Iterable, Mapping, Sequence

from lorajax.library.duplicates.comparing import Comparison
from lorajax.library.duplicates.copies import standing_for
from lorajax.library.duplicates.found import Action, Copy, Group, Kind, Member
from lorajax.library.duplicates.verdicts import Pair
from lorajax.library.entry import Entry, Facts

RULES: Mapping[Kind, str] = {
    Kind.UPDATE: "the one of the finest number format is kept, then of the lowest rank "
    "(a higher one adds nothing), then the one that tells most of itself, then the "
    "oldest",
    Kind.SCALED: "the one of the finest number format is kept, then the one that tells "
    "most of itself, then the oldest: at another strength it is the others",
    Kind.MERGED: "the parents are kept: loaded together at these strengths they are "
    "the merge",
    Kind.RESIZED: "the one that holds most is kept: the others are parts of it, cut "
    "for their size perhaps",
    Kind.NEAR: "the one of the finest number format is kept, then of the highest rank, "
    "then the oldest: look at both before you choose",
}
_DTYPES = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")


def precision(facts: Facts) -> int:
    """How coarse the coarsest numbers are: 0 is the finest."""
    known = [_DTYPES.index(d) for d in facts.dtype.split(", ") if d in _DTYPES]
    return max(known, default=len(_DTYPES))


def preferred(
    kind: Kind, entries: Iterable[Entry], copies: Mapping[str, Sequence[Copy]]
) -> list[Entry]:
    """The LoRAs of a group, the one to keep first."""

    def order(entry: Entry) -> tuple[object, ...]:
        facts, copy = entry.facts, standing_for(copies[entry.key])
        told = (-copy.told, copy.mtime_ns, entry.key)
        if kind is Kind.RESIZED:
            held = (-facts.modules_mapped, -facts.rank_median, -(facts.norm or 0.0))
            return (copy.missing, *held, *told)
        fine = (copy.missing, precision(facts))
        if kind is Kind.UPDATE:
            return (*fine, facts.rank_median, *told)
        return (
            (*fine, *told) if kind is Kind.SCALED else (*fine, -facts.rank_max, *told)
        )

    return sorted(entries, key=order)


def group_of(
    kind: Kind,
    entries: Sequence[Entry],
    pairs: Sequence[Pair],
    copies: Mapping[str, Sequence[Copy]],
) -> Group:
    """A group of LoRAs, each with its comparison with the one that is kept.

    Args:
      pairs: those that joined the group; one that was not compared with the kept LoRA
        tells of the one it was compared with.
    """
    first, *others = preferred(kind, entries, copies)
    by_key = {entry.key: entry for entry in entries}
    members = [member(first, copies, Action.KEEP, "kept")]
    for entry in others:
        pair, other = _pair(entry.key, first.key, pairs)
        words = describe(kind, pair.found, entry.facts, by_key[other].facts)
        if other != first.key:
            words = f"{words} (beside {by_key[other].name})"
        sure = pair.found.confirmed and not pair.found.rest
        redundant = sure and kind in (Kind.UPDATE, Kind.SCALED) and not entry.missing
        action = Action.REDUNDANT if redundant else Action.REVIEW
        members.append(member(entry, copies, action, words, pair.found.numbers))
    used = [pair for pair in pairs if {pair.a, pair.b} <= by_key.keys()]
    confirmed = all(pair.found.confirmed and not pair.found.rest for pair in used)
    return Group(kind, first.facts.base_model, tuple(members), RULES[kind], confirmed)


def _pair(key: str, kept: str, pairs: Sequence[Pair]) -> tuple[Pair, str]:
    """The pair that tells of a LoRA, turned so that the LoRA stands second."""
    own = [pair for pair in pairs if key in (pair.a, pair.b)]
    best = next((pair for pair in own if kept in (pair.a, pair.b)), own[0])
    if best.b == key:
        return best, best.a
    return Pair(best.b, best.a, best.found.turned(), best.verdict), best.b


def member(
    entry: Entry,
    copies: Mapping[str, Sequence[Copy]],
    action: Action,
    evidence: str,
    numbers: Mapping[str, float] | None = None,
) -> Member:
    """A LoRA by the file that stands for it."""
    copy = standing_for(copies[entry.key])
    return Member(
        *(copy.path, entry.key, entry.name, 0 if copy.missing else copy.size),
        *(action, evidence, numbers or {}, copy.links, copy.missing),
    )


def describe(kind: Kind, found: Comparison, facts: Facts, kept: Facts) -> str:
    """Why a LoRA stands beside another, in words and numbers."""
    parts = [_CLAIMS[kind](found)]
    if kind is not Kind.SCALED and kind is not Kind.UPDATE:
        parts.append(f"cosine {found.cosine:.4f}, {found.ratio:.3f} times its length")
    parts += [
        f"{name} {one} instead of {other}"
        for name, one, other in (
            ("dtype", facts.dtype, kept.dtype),
            ("format", facts.format, kept.format),
            ("family", facts.family, kept.family),
            ("rank", f"{facts.rank_median:g}", f"{kept.rank_median:g}"),
            ("modules", facts.modules_mapped, kept.modules_mapped),
        )
        if one != other
    ]
    if found.rest:
        parts.append(f"but {found.rest}")
    if not found.confirmed:
        parts.append("not confirmed: no file of one of the two is at hand")
    return ", ".join(parts)


def _relative(value: float) -> str:
    return "less than 0.001" if value < 1e-3 else f"{value:.4f}"


_CLAIMS = {
    Kind.UPDATE: lambda found: f"the same update, {_relative(found.distance)} apart",
    Kind.SCALED: lambda found: (
        f"the same update at {found.ratio:.4g} times the strength, "
        f"{_relative(found.residual)} apart otherwise"
    ),
    Kind.RESIZED: lambda found: "a part of the other's update",
    Kind.NEAR: lambda found: "nearly the same update",
}
