"""How often the ladder of duplicates is right, on files of which the truth is known.

    python -m tests.library.duplicates.ladder_rates FOLDER… [--sources 100]

Makes variants of LoRAs of these folders (casts, gauges, ranks, dialects, strengths,
merges, cuts), indexes them together with everything else in the folders, and counts
pairs: precision and recall of every kind. Prints the table of docs/duplicates.md.
"""

import argparse
import json
import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from time import perf_counter

from lorajax.formats import scan
from lorajax.library import Library
from lorajax.library.duplicates import Kind, Ladder, find_duplicates
from lorajax.service.collection.indexing import index_folders
from tests.library.duplicates.variants import (
    Source,
    Variant,
    write_merge,
    write_variants,
)

Pairs = set[frozenset[Hashable]]


@dataclass(frozen=True)
class Rates:
    """Of pairs of one kind.

    Attributes:
      wrong, missed: the pairs themselves, to look at.
    """

    expected: int
    found: int
    right: int
    wrong: tuple[frozenset, ...]
    missed: tuple[frozenset, ...]

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        return self.right / self.expected if self.expected else 1.0


def sources_of(folders: Iterable[Path], count: int) -> list[Source]:
    """So many LoRAs of these folders, evenly spread, with names of their own."""
    files = [file for folder in folders for file in scan([folder]).files]
    step = max(1, len(files) // count) if count else 1
    return [Source(file, f"s{place:04d}") for place, file in enumerate(files[::step])]


def write_set(sources: Sequence[Source], folder: Path, aside: Path) -> list[Variant]:
    """All variants of all sources, and a merge of every two neighbours."""
    made = [v for source in sources for v in write_variants(source, folder)]
    for a, b in zip(sources[::2], sources[1::2], strict=False):
        if (merge := write_merge(a, b, folder, aside)) is not None:
            made.append(merge)
    return made


def rates(
    ladder: Ladder, variants: Sequence[Variant], keys: Mapping[str, str]
) -> dict[Kind, Rates]:
    """The ladder held against the truth.

    Args:
      keys: path → content key of every file of the library.
    """
    truth = {keys[str(v.path)]: v for v in variants}
    by_file = {file_identity(str(v.path)): v for v in variants}
    updates = {key: v.update for key, v in truth.items()}
    rays = {v.update: v.ray for v in variants}
    expected: dict[Kind, Pairs] = {
        Kind.FILE: _pairs_within(
            variants, lambda v: v.bytes, lambda v: file_identity(str(v.path))
        ),
        Kind.WEIGHTS: _pairs_within(
            variants, lambda v: keys[str(v.path)], lambda v: v.bytes
        ),
        Kind.UPDATE: _pairs_within(
            variants, lambda v: v.update, lambda v: keys[str(v.path)]
        ),
        Kind.SCALED: _pairs_within(variants, lambda v: v.ray, lambda v: v.update),
        Kind.RESIZED: {frozenset((v.update, v.part_of)) for v in variants if v.part_of},
        Kind.NEAR: {frozenset((v.update, v.near_to)) for v in variants if v.near_to},
        Kind.MERGED: {frozenset((v.update, *v.parents)) for v in variants if v.parents},
    }
    found: dict[Kind, Pairs] = defaultdict(set)
    for group in ladder.groups:
        paths = [m.path for m in group.members]
        names = [updates.get(m.key, m.key) for m in group.members]
        if group.kind is Kind.FILE:
            found[group.kind] |= _pairs(map(file_identity, paths))
        elif group.kind is Kind.WEIGHTS:
            files = map(file_identity, paths)
            told = [by_file[f].bytes if f in by_file else f for f in files]
            found[group.kind] |= _pairs(told)
        elif group.kind is Kind.UPDATE:
            found[group.kind] |= _pairs([m.key for m in group.members])
        elif group.kind is Kind.MERGED:
            parents = {rays.get(name, name) for name in names[:-1]}
            found[group.kind].add(frozenset((names[-1], *parents)))
        elif group.kind in (Kind.RESIZED, Kind.NEAR):
            kept = rays.get(names[0], names[0])
            others = (rays.get(name, name) for name in names[1:])
            found[group.kind] |= {frozenset((kept, other)) for other in others}
        else:
            found[group.kind] |= _pairs(names)
    return {kind: _rates(expected[kind], found[kind]) for kind in Kind}


def file_identity(path: str) -> str:
    """The same for all links of one file."""
    found = os.stat(path)
    return f"{found.st_dev}:{found.st_ino}"


def _rates(expected: Pairs, found: Pairs) -> Rates:
    right = expected & found
    wrong, missed = tuple(found - expected), tuple(expected - found)
    return Rates(len(expected), len(found), len(right), wrong, missed)


def _pairs_within(variants: Iterable[Variant], group, name) -> Pairs:
    """Pairs of different names inside groups."""
    groups: dict[Hashable, set[Hashable]] = defaultdict(set)
    for variant in variants:
        groups[group(variant)].add(name(variant))
    return {pair for names in groups.values() for pair in _pairs(names)}


def _pairs(names: Iterable[Hashable]) -> Pairs:
    return {frozenset(pair) for pair in combinations(names, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--sources", type=int, default=100, help="of each folder")
    parser.add_argument(
        "--keep", type=Path, help="write here instead of a passing folder"
    )
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as passing:
        _report(words.folders, words.sources, words.keep or Path(passing))


def _report(folders: Sequence[Path], count: int, out: Path) -> None:
    sources = [
        Source(source.path, f"{place}{source.name}")
        for place, folder in enumerate(folders)
        for source in sources_of([folder], count)
    ]
    folder, store = out / "set", out / "library.sqlite"
    variants = write_set(sources, folder, out / "aside")
    started = perf_counter()
    index_folders([*folders, folder], store)
    indexed = perf_counter()
    with Library.open(store, create=False) as library:
        ladder = find_duplicates(library)
        files = {
            file_identity(path): key for path, (_, key) in library.stamps().items()
        }
    searched = perf_counter()
    keys = {
        str(v.path): files[file_identity(str(v.path))]
        for v in variants
        if file_identity(str(v.path)) in files
    }
    lost = [v for v in variants if str(v.path) not in keys]
    print(f"{len(sources)} sources, {len(variants)} variants, {len(lost)} not indexed")
    print(dict(Counter(v.kind for v in variants)))
    print(f"{ladder.searched} LoRAs; index {indexed - started:.1f} s, ", end="")
    print(f"duplicates {searched - indexed:.1f} s; unread {ladder.unread}")
    print(
        "| kind | pairs expected | found | precision | recall |\n|---|---|---|---|---|"
    )
    known = [v for v in variants if str(v.path) in keys]
    for kind, rate in rates(ladder, known, keys).items():
        cells = (kind.value, rate.expected, rate.found)
        print(f"| {' | '.join(map(str, cells))} ", end="")
        print(f"| {rate.precision:.4f} | {rate.recall:.4f} |")
        for word, pairs in (("wrong", rate.wrong), ("missed", rate.missed)):
            for pair in pairs[:12]:
                print(f"    {word}: {sorted(map(str, pair))}")
    for relation in ladder.relations:
        print(json.dumps([relation.kind, relation.by, relation.evidence]))
        print("   ", [m.path[-70:] for m in relation.members])


if __name__ == "__main__":
    main()
