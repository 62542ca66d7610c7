"""The whole ladder of a library: files, weights, updates, and what is near them."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from lorajax.library.duplicates.climbing import Climb
from lorajax.library.duplicates.copies import read_copies, same_files
from lorajax.library.duplicates.found import (
    Action,
    Copy,
    Group,
    Kind,
    Ladder,
    Relation,
)
from lorajax.library.duplicates.keeping import RULES, group_of, member
from lorajax.library.duplicates.runs import noise_pairs, progress
from lorajax.library.duplicates.shelf import Shelf
from lorajax.library.entry import Entry
from lorajax.library.joined import Joined
from lorajax.library.spaces import sketch_space
from lorajax.library.store import Library

_GROUPED = (Kind.UPDATE, Kind.SCALED, Kind.RESIZED, Kind.NEAR)
_ORDER = tuple(Kind)
_LOST = "{}: its sketch was lost; `lorajax index` makes it again"
OnStep = Callable[[str, int, int], None]


def find_duplicates(
    library: Library,
    deepest: int = 5,
    on_step: OnStep = lambda stage, done, total: None,
) -> Ladder:
    """Groups of files of which one can stand for the others, and relations.

    Nothing is written, neither in the library nor beside a LoRA. Levels 1 and 2 need
    hashes only; from level 3 on the files of candidates are read.

    Args:
      deepest: the last level to look at, 1 to 5.
      on_step: called with (stage, done, total).
    """
    entries = library.entries()
    copies, changed = read_copies(library)
    names = {e.key: (e.name, e.facts.base_model) for e in entries}
    groups = same_files(copies, names)
    relations: list[Relation] = []
    shelf = Shelf(copies)
    if deepest > 2:
        lost = library.without_sketch()
        shelf.unread |= {e.path: _LOST.format(e.path) for e in entries if e.key in lost}
        usable = [e for e in entries if copies.get(e.key) and e.key not in lost]
        for base_model, those, sketches in _by_base(library, usable):
            climb = Climb(those, sketches, copies, shelf, on_step)
            climb.find_copies()
            climb.find_runs()
            if deepest > 3:
                climb.find_relatives()
            groups += _groups(climb, copies)
            relations += _relations(climb, base_model, copies)
    levels = {kind: place for place, kind in enumerate(_ORDER)}
    found = [group for group in groups if group.level <= deepest]
    return Ladder(
        groups=tuple(sorted(found, key=lambda g: levels[g.kind])),
        relations=tuple(relations),
        searched=len(entries),
        changed=tuple(changed),
        unread=tuple(sorted(shelf.unread.items())),
    )


def _by_base(
    library: Library, entries: Iterable[Entry]
) -> Iterable[tuple[str, list[Entry], Float[np.ndarray, "n e"]]]:
    """LoRAs and their sketches, a base model at a time."""
    bases: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        if entry.facts.fingerprint:
            bases.setdefault(entry.facts.base_model, {})[entry.key] = entry
    for base_model, known in sorted(bases.items()):
        # Their lengths tell: sums of LoRAs are sums of sketches as they are stored.
        keys, sketches = library.vectors(sketch_space(base_model))
        rows = [row for row, key in enumerate(keys) if key in known]
        yield base_model, [known[keys[row]] for row in rows], sketches[rows]


def _groups(climb: Climb, copies: Mapping[str, Sequence[Copy]]) -> list[Group]:
    by_key = {entry.key: entry for entry in climb.entries}
    groups: list[Group] = []
    for kind in _GROUPED:
        pairs = [pair for pair in climb.pairs if pair.verdict.value == kind.value]
        places = {key: i for i, key in enumerate(_keys(pairs))}
        joined = Joined(len(places))
        for pair in pairs:
            joined.join(places[pair.a], places[pair.b])
        keys = list(places)
        for group in joined.sets():
            members = {keys[place] for place in group}
            own = [pair for pair in pairs if pair.a in members]
            entries = [by_key[key] for key in sorted(members)]
            groups.append(group_of(kind, entries, own, copies))
    return groups + _merged(climb, copies)


def _keys(pairs: Iterable) -> dict[str, None]:
    return dict.fromkeys(key for pair in pairs for key in (pair.a, pair.b))


def _merged(climb: Climb, copies: Mapping[str, Sequence[Copy]]) -> list[Group]:
    groups = []
    for merge in climb.merges:
        parents = [climb.entries[place] for place in merge.parents]
        whole = climb.entries[merge.merge]
        terms = [
            f"{weight:.4g} x {parent.name}"
            for weight, parent in zip(merge.weights, parents, strict=True)
        ]
        words = f"the sum of {' + '.join(terms)}, {merge.residual:.4f} of it left over"
        if not merge.confirmed:
            words += ", not confirmed: a file is not at hand"
        numbers = {"residual": round(merge.residual, 6)}
        members = [
            member(
                *(parent, copies, Action.KEEP, f"a parent, {weight:.4g} times"),
                {"weight": round(weight, 6)},
            )
            for parent, weight in zip(parents, merge.weights, strict=True)
        ]
        members.append(member(whole, copies, Action.REVIEW, words, numbers))
        base_model = whole.facts.base_model
        rule = RULES[Kind.MERGED]
        groups.append(
            Group(Kind.MERGED, base_model, tuple(members), rule, merge.confirmed)
        )
    return groups


def _relations(
    climb: Climb, base_model: str, copies: Mapping[str, Sequence[Copy]]
) -> list[Relation]:
    entries, joined = climb.entries, Joined(len(climb.entries))
    for run in climb.runs:
        joined.join(run.a, run.b)
    relations = []
    for places in joined.sets():
        own = [r for r in climb.runs if r.a in places or r.b in places]
        ordered = sorted((entries[p] for p in places), key=_course)
        cosines = [r.found.cosine for r in own if r.found is not None]
        words = f"{len(places)} checkpoints of one run"
        if cosines:
            ends = dict.fromkeys(f"{c:.4f}" for c in (min(cosines), max(cosines)))
            words += f", cosine {' to '.join(ends)}"
        by = ", ".join(dict.fromkeys(run.by for run in own))
        members = tuple(
            member(entry, copies, Action.KEEP, _state(entry)) for entry in ordered
        )
        relations.append(Relation("epochs", base_model, by, words, members))
    for pair in noise_pairs(entries):
        members = tuple(
            member(entries[place], copies, Action.KEEP, f"for {noise} noise")
            for place, noise in zip(pair, ("high", "low"), strict=True)
        )
        words = "the two halves of one LoRA, for high and for low noise"
        relations.append(Relation("noise pair", base_model, "name", words, members))
    return relations


def _course(entry: Entry) -> tuple[object, ...]:
    """The order of a run: by what is told, and by the norm, which grows."""
    return (progress(entry) or (0, 0), entry.facts.norm or 0.0)


def _state(entry: Entry) -> str:
    told = progress(entry)
    norm = f"norm {entry.facts.norm:.4g}" if entry.facts.norm else "no norm"
    if told is None:
        return norm
    epoch, step = told
    words = [f"epoch {epoch}"] if epoch else []
    return ", ".join([*words, *([f"step {step}"] if step else []), norm])
