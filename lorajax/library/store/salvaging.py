"""What can still be read of a damaged library, written to a new one beside it.

The damaged file stays where it is until the new one is complete, and is then kept under
another name. Rows are read from both ends of a table, and numbered ones past the
damage as well. A row that makes no sense is left behind, and so is one that belongs to
a LoRA that was lost: indexing reads its file again. Words are written anew.
"""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lorajax.errors import LibraryError
from lorajax.library.store.library import Library
from lorajax.library.store.schema import has_present_tables, unusable
from lorajax.library.store.tables import TAGS_OF_LORAS

# Table → the columns that its rows are stored in the order of.
_TABLES = {
    "loras": ("id",),
    "paths": ("path",),
    "vectors": ("id",),
    "waiting": ("path",),
    "refused": ("path",),
    "labels": ("key", "field", "value", "source"),
    "kept_labels": ("key", "field", "value", "source"),
    "meta": ("key",),
}
_JSON = frozenset({"told", "tags", "warnings"})
_OF_LORAS = ("paths", "vectors", "labels")
_WITH = ("-wal", "-shm")
_LARGEST = 2**62


@dataclass(frozen=True, slots=True)
class Salvage:
    """What was saved.

    Attributes:
      rows: table → how many of its rows.
      kept: where the damaged file lies now.
    """

    rows: dict[str, int]
    kept: Path


def salvage(path: Path) -> Salvage:
    """Puts a new library with all that can be read in the place of a damaged one.

    Raises:
      LibraryError: where another process uses the library, nothing can be read, or
        the folder cannot be written.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S")
    new = path.with_name(f"{path.stem}.repaired-{stamp}{path.suffix}")
    try:
        with closing(_locked(path)) as old, Library.open(new) as library:
            rows = _copy(old, library)
        return Salvage(rows, _swap(path, new, f"{path.stem}.damaged-{stamp}"))
    except (OSError, sqlite3.Error) as error:
        raise unusable(path, error) from error
    finally:
        for suffix in ("", *_WITH):
            new.with_name(new.name + suffix).unlink(missing_ok=True)


def _locked(path: Path) -> sqlite3.Connection:
    """The damaged library, which nobody else may write from now on."""
    connection = sqlite3.connect(path, timeout=1.0, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        connection.close()
        raise
    except sqlite3.DatabaseError as error:
        connection.close()
        raise LibraryError(
            f"{path}: expected a library of which something can be read, found none",
            "move it away and run `lorajax index` again",
        ) from error
    if not has_present_tables(connection):
        connection.close()
        raise LibraryError(
            f"{path}: expected a library of version 2 or newer, found an older one",
            "open it once with `lorajax library info`, or repair it with the lorajax "
            "that wrote it",
        )
    return connection


def _copy(old: sqlite3.Connection, library: Library) -> dict[str, int]:
    counts: dict[str, int] = {}
    with library.transaction():
        for table, order in _TABLES.items():
            about = library.query(f"PRAGMA table_info({table})")
            there = _columns(old, table)
            # An older library lacks some, which have defaults.
            columns = [name for _, name, *_ in about if not there or name in there]
            marks = ", ".join("?" * len(columns))
            into = (
                f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})"
            )
            known = {key for (key,) in library.query("SELECT key FROM loras")}
            counts[table] = 0
            for row in _readable(old, table, columns, order):
                fields = dict(zip(columns, row, strict=True))
                belongs = table not in _OF_LORAS or fields["key"] in known
                if belongs and all(
                    map(_makes_sense, *zip(*fields.items(), strict=True))
                ):
                    counts[table] += library.execute(into, *row)
        if "tags" not in _columns(old, "paths"):  # of before version 4
            library.execute(TAGS_OF_LORAS)
        for (key,) in library.query("SELECT key FROM loras"):
            library.write_text(key)
        library.grow_revision()
        library.grow_paths_revision()
    return counts


def _columns(old: sqlite3.Connection, table: str) -> set[str]:
    about = _until_damage(old, f"PRAGMA table_info({table})")
    return {name for _, name, *_ in about}


def _makes_sense(column: str, value: Any) -> bool:
    if column == "vector":
        whole = isinstance(value, bytes) and len(value) % 4 == 0
        return whole and bool(np.isfinite(np.frombuffer(value, "<f4")).all())
    if column in _JSON:
        with suppress(ValueError, TypeError):
            json.loads(value)
            return True
        return False
    return True


def _readable(
    old: sqlite3.Connection, table: str, columns: list[str], order: tuple[str, ...]
) -> Iterator[tuple]:
    """All rows that can be read, some of them twice."""
    select = f"SELECT {', '.join(columns)} FROM {table}"
    yield from _until_damage(old, f"{select} ORDER BY {', '.join(order)}")
    down = ", ".join(f"{column} DESC" for column in order)
    yield from _until_damage(old, f"{select} ORDER BY {down}")
    if order == ("id",):
        yield from _numbered(old, select)


def _until_damage(
    old: sqlite3.Connection, statement: str, *values: int
) -> Iterator[tuple]:
    with suppress(sqlite3.DatabaseError):
        yield from old.execute(statement, values)


def _numbered(old: sqlite3.Connection, select: str) -> Iterator[tuple]:
    """Rows between the first and the last damage, by jumps that grow till one lands."""
    last, jump = 0, 1
    while (begun := last + jump) < _LARGEST:
        landed, after = False, last
        upwards = f"{select} WHERE id >= ? ORDER BY id"
        for row in _until_damage(old, upwards, begun):
            landed, after = True, row[0]
            yield row
        if landed:  # and what the jump went over, from behind
            between = f"{select} WHERE id > ? AND id < ? ORDER BY id DESC"
            yield from _until_damage(old, between, last, begun)
            last, jump = after, 1
        elif _ends_before(old, select, begun):
            return
        else:
            jump *= 2


def _ends_before(old: sqlite3.Connection, select: str, first: int) -> bool:
    """Whether surely no row follows."""
    try:
        rows = old.execute(f"{select} WHERE id >= ? LIMIT 1", (first,))
        return rows.fetchone() is None
    except sqlite3.DatabaseError:
        return False


def _swap(path: Path, new: Path, name: str) -> Path:
    """The damaged file out of the way, with its journal; the new one in its place."""
    kept = path.with_name(name + path.suffix)
    for suffix in (*_WITH, ""):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(kept.with_name(kept.name + suffix))
    new.rename(path)
    return kept
