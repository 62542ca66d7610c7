"""Duplicates for front ends: the ladder, and a plan to look through.

Nothing is deleted or moved by any of it. A plan is a list that a person reviews and
another program may carry out.
"""

import json
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lorajax.errors import LorajaxError
from lorajax.formats.csv_tables import write_csv
from lorajax.library import Entry, Library
from lorajax.library.duplicates import (
    LEVELS,
    Action,
    Group,
    Kind,
    Ladder,
    Member,
    Relation,
)
from lorajax.library.duplicates import find_duplicates as climb
from lorajax.library.same_work import same_update_as
from lorajax.service.progress import OnProgress, Progress

__all__ = [
    "LEVELS",
    "MEANINGS",
    "Action",
    "Group",
    "Kind",
    "Ladder",
    "Member",
    "Relation",
    "chosen_kinds",
    "copies_of",
    "find_duplicates",
    "write_plan",
]
# What the members of a group are to each other.
MEANINGS: Mapping[Kind, str] = {
    Kind.FILE: "the same file",
    Kind.WEIGHTS: "the same weights",
    Kind.UPDATE: "the same update",
    Kind.SCALED: "one update at several strengths",
    Kind.MERGED: "a merge of others",
    Kind.RESIZED: "resized copies",
    Kind.NEAR: "nearly the same",
}
PLAN_COLUMNS = (
    "group",
    "level",
    "kind",
    "confirmed",
    "action",
    "path",
    "size",
    "freed",
    "name",
    "content_key",
    "links",
    "evidence",
    "rule",
)
_PLAN_ENDINGS = (".csv", ".jsonl")


def chosen_kinds(words: Collection[str]) -> frozenset[Kind]:
    """The kinds that levels and names of kinds mean; none means all.

    Raises:
      LorajaxError: for another word.
    """
    numbers = {str(level) for level in LEVELS.values()}
    for word in words:
        if word not in numbers and word not in set(Kind):
            raise LorajaxError(
                f"expected a level 1 to 5 or one of {', '.join(Kind)}, found {word!r}"
            )
    if not words:
        return frozenset(Kind)
    return frozenset(k for k in Kind if k.value in words or str(LEVELS[k]) in words)


def find_duplicates(
    path: Path | None = None,
    kinds: Collection[Kind] = frozenset(Kind),
    on_progress: OnProgress = lambda progress: None,
) -> Ladder:
    """The ladder of a library, as deep as these kinds ask for.

    Levels 1 and 2 are told by hashes and come at once; from level 3 on the files of
    candidates are read.
    """
    with Library.open(path, create=False) as library:
        ladder = climb(
            library,
            max(LEVELS[kind] for kind in kinds),
            lambda stage, done, total: on_progress(Progress(stage, done, total)),
        )
    return replace(ladder, groups=tuple(g for g in ladder.groups if g.kind in kinds))


def copies_of(path: Path | None, key: str) -> list[Entry]:
    """Other LoRAs of the library that are the same update, as fingerprints tell.

    It takes no more than a look at a column of the library: nothing is read again.
    """
    with Library.open(path, create=False) as library:
        entry = library.entry(key)
        return same_update_as(library, entry) if entry is not None else []


def write_plan(ladder: Ladder, out: Path, force: bool = False) -> int:
    """Writes every file of every group with what might be done with it.

    `freed` is counted once for a file that several groups call redundant.

    Args:
      out: ends in `.csv` or `.jsonl`.

    Returns:
      How many rows were written.

    Raises:
      LorajaxError: for another ending, a file that is there already without `force`,
        and a place that cannot be written.
    """
    check_plan(out, force)
    rows = list(_rows(ladder))
    beside = out.with_name(f"{out.name}.{os.getpid()}.unfinished")
    try:
        if out.suffix == ".csv":
            write_csv(beside, PLAN_COLUMNS, map(_cells, rows))
        else:
            beside.write_text(_lines(rows), encoding="utf-8", newline="\n")
        os.replace(beside, out)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise LorajaxError(
            f"{out}: expected a place to write the plan to, found: {error.strerror}",
            "name another place, or make its folder first",
        ) from error
    return len(rows)


def check_plan(out: Path, force: bool = False) -> None:
    """Says what is wrong with a place for a plan before hours of work are."""
    if out.suffix not in _PLAN_ENDINGS:
        raise LorajaxError(
            f"{out}: expected a name that ends in {' or '.join(_PLAN_ENDINGS)}, found "
            f"{out.suffix or 'no ending'}"
        )
    if os.path.lexists(out) and not force:
        raise LorajaxError(
            f"{out}: expected a new file, found one of this name",
            "name another place, or replace it with --force",
        )
    if not out.absolute().parent.is_dir():
        raise LorajaxError(
            f"{out.parent}: expected a folder to write to, found none",
            "make the folder first",
        )


def _rows(ladder: Ladder) -> Iterator[dict[str, Any]]:
    freed: set[str] = set()
    for number, group in enumerate(ladder.groups, 1):
        for member in group.members:
            frees = member.action is Action.REDUNDANT and member.path not in freed
            if frees:
                freed.add(member.path)
            values = (
                *(number, group.level, group.kind.value, group.confirmed),
                *(member.action.value, member.path, member.size),
                *(member.size if frees else 0, member.name, member.key),
                *(list(member.links), member.evidence, group.rule),
            )
            yield dict(zip(PLAN_COLUMNS, values, strict=True))


def _cells(row: dict[str, Any]) -> Iterator[Any]:
    yield from {**row, "links": " | ".join(row["links"])}.values()


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)
