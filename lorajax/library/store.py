"""The stored collection: entries, where their files lie, and their vectors.

Receives facts and vectors, hands out entries and one matrix per space. Keys are
content keys; a path is only an attribute, and one LoRA may lie at several. Every
call that writes commits before it returns.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, fields
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from lorajax.errors import LibraryError
from lorajax.library.entry import EMBEDDABLE_TIERS, Entry, Facts, FileStamp, Refusal
from lorajax.library.location import default_path, library_file
from lorajax.library.schema import connect, unusable
from lorajax.library.spaces import NO_ENCODER, parse_space
from lorajax.library.vectors import Matrix, open_matrix, vectors_folder
from lorajax.library.vectors.rows import ID_OF, KEY_OF, put_vector
from lorajax.library.vectors.table import WidthError

_FACTS = [field.name for field in fields(Facts)]
_LISTS = ("warnings", "tags")
TABLE_COLUMNS = [
    "key",
    "name",
    "base_model",
    "family",
    "rank_min",
    "rank_max",
    "tier",
    "modules_mapped",
    "modules_total",
    "norm",
    "tags",
]
_MISSING_LORAS = """
SELECT DISTINCT key FROM paths AS gone WHERE missing AND NOT EXISTS (
  SELECT 1 FROM paths WHERE paths.key = gone.key AND NOT paths.missing
)
"""
_TIERS = ", ".join(f"'{tier}'" for tier in sorted(EMBEDDABLE_TIERS))
_WITHOUT_VECTOR = f"""
SELECT COUNT(*) FROM loras WHERE base_model = ? AND tier IN ({_TIERS}) AND EXISTS (
  SELECT 1 FROM paths WHERE paths.key = loras.key AND NOT paths.missing
) AND NOT EXISTS (
  SELECT 1 FROM vectors WHERE vectors.key = loras.key AND vectors.space = ?
)
"""
_DROP_OTHERS = """
DELETE FROM vectors WHERE space != ?
AND key IN (SELECT key FROM loras WHERE base_model = ?)
"""


class Library:
    """An open library file; also a context manager that closes it."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, path: Path | None = None, create: bool = True) -> "Library":
        """Opens the library at a path (a file or a folder), or the user's own.

        Args:
          path: None means `default_path()`.
          create: whether a library that is not there is made.
        """
        file = default_path() if path is None else library_file(path)
        return cls(file, connect(file, create))

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> "Library":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def upsert(
        self,
        key: str,
        facts: Facts,
        path: Path,
        stamp: FileStamp,
        space: str = "",
        vector: Float[np.ndarray, " e"] | None = None,
    ) -> None:
        """Stores one file in one transaction: its facts, its path and its vector."""
        with self._transaction():
            self._write_facts(key, facts)
            self._write_path(key, path, stamp)
            if vector is not None:
                self._write_vector(key, space, vector)

    def entries(self) -> list[Entry]:
        """Every LoRA of the library, by name."""
        paths = self._paths_by_key()
        columns = ", ".join(_FACTS)
        rows = self._query(f"SELECT key, {columns} FROM loras ORDER BY name, key")
        return [_entry(row, paths.get(row[0], [])) for row in rows]

    def columns(self) -> dict[str, list[Any]]:
        """The collection column by column, for a table: no object per LoRA.

        Besides plain facts it has `key`, `tags` as one text, and `missing`.
        """
        names = ", ".join(TABLE_COLUMNS)
        rows = self._query(f"SELECT {names} FROM loras")
        columns: dict[str, list[Any]] = {name: [] for name in TABLE_COLUMNS}
        for name, values in zip(TABLE_COLUMNS, zip(*rows, strict=True), strict=False):
            columns[name] = list(values)
        columns["tags"] = [", ".join(_list(text)) for text in columns["tags"]]
        absent = {key for (key,) in self._query(_MISSING_LORAS)}
        columns["missing"] = [key in absent for key in columns["key"]]
        return columns

    def entry(self, key: str) -> Entry | None:
        """The LoRA with a content key, or None."""
        columns = ", ".join(_FACTS)
        rows = self._query(f"SELECT key, {columns} FROM loras WHERE key = ?", key)
        paths = self._query("SELECT path, missing FROM paths WHERE key = ?", key)
        return _entry(rows[0], paths) if rows else None

    def key_at(self, path: Path) -> str | None:
        """The content key last seen at a path, or None."""
        rows = self._query("SELECT key FROM paths WHERE path = ?", str(path))
        return rows[0][0] if rows else None

    def stamps(self) -> dict[str, tuple[FileStamp, str]]:
        """Every known path with its stamp and the content key it had."""
        rows = self._query("SELECT path, size, mtime_ns, inode, key FROM paths")
        return {row[0]: (FileStamp(*row[1:4]), row[4]) for row in rows}

    def tiers(self) -> dict[str, tuple[str, str]]:
        """Content key to (tier, base model), for every LoRA."""
        rows = self._query("SELECT key, tier, base_model FROM loras")
        return {key: (tier, base) for key, tier, base in rows}

    def spaces(self) -> dict[str, int]:
        """Every space with the number of its vectors."""
        rows = self._query("SELECT space, COUNT(*) FROM vectors GROUP BY space")
        return dict(rows)

    def keys_in(self, space: str) -> set[str]:
        """The content keys that have a vector in a space."""
        rows = self._query("SELECT key FROM vectors WHERE space = ?", space)
        return {key for (key,) in rows}

    def spaces_of(self, key: str) -> list[str]:
        """The spaces in which a LoRA has a vector, the newest vector last."""
        rows = self._query(
            "SELECT space FROM vectors WHERE key = ? ORDER BY rowid", key
        )
        return [space for (space,) in rows]

    def vectors(self, space: str) -> tuple[list[str], Float[np.ndarray, "n e"]]:
        """Keys and vectors of one space, row by row.

        Raises:
          LibraryError: when the space holds no vector.
        """
        rows = self._query("SELECT key, vector FROM vectors WHERE space = ?", space)
        if not rows:
            raise _empty(space)
        keys = [key for key, _ in rows]
        if len({len(blob) for _, blob in rows}) > 1:
            raise _uneven(self.path, space)
        joined = b"".join(map(itemgetter(1), rows))
        flat = np.frombuffer(joined, dtype="<f4")
        return keys, flat.reshape(len(keys), -1)

    def matrix(self, space: str) -> Matrix:
        """The vectors of one space as a matrix on disk, brought up to date.

        Raises:
          LibraryError: when the space holds no vector.
        """
        try:
            found = open_matrix(self._connection, self.vectors_folder, space)
        except WidthError as error:
            raise _uneven(self.path, space) from error
        except sqlite3.Error as error:
            raise unusable(self.path, error) from error
        if found is None:
            raise _empty(space)
        return found

    @property
    def vectors_folder(self) -> Path:
        """Where the matrices lie: caches that may be deleted at any time."""
        return vectors_folder(self.path)

    def vector_id(self, space: str, key: str) -> int | None:
        """The id of a LoRA's vector in a space, or None."""
        found = self._query(ID_OF, space, key)
        return found[0][0] if found else None

    def keys_of(self, ids: Iterable[int]) -> list[str | None]:
        """The content keys of vectors, None where one was removed meanwhile."""
        found = [self._query(KEY_OF, id_) for id_ in ids]
        return [row[0][0] if row else None for row in found]

    def current_space(self, base_model: str) -> str | None:
        """The space in which LoRAs of a base model are compared now."""
        return self.get_meta(f"space:{base_model}")

    def set_current_space(self, base_model: str, space: str) -> None:
        """Makes a space the one that searches of its base model use."""
        self.set_meta(f"space:{base_model}", space)

    def switch_space(self, base_model: str, space: str) -> int:
        """Makes a space current once a run has filled it.

        Where every present LoRA of the base model has a vector in it, vectors in
        spaces that are no base model's current one are deleted for this base model.

        Returns:
          How many present LoRAs of the base model have no vector in the space.
        """
        self.set_current_space(base_model, space)
        with self._transaction():
            ((without,),) = self._query(_WITHOUT_VECTOR, base_model, space)
            if without == 0:
                old = self._connection.execute(_DROP_OTHERS, (space, base_model))
                if old.rowcount:
                    self._grow_revision()
        return without

    def revision(self) -> int:
        """A number that grows whenever a vector is written or removed."""
        return int(self.get_meta("revision") or 0)

    def newest_id(self) -> int:
        """The id of the vector that was written last of those that are there."""
        ((newest,),) = self._query("SELECT COALESCE(MAX(id), 0) FROM vectors")
        return newest

    def mark_missing(self, paths: Iterable[str]) -> None:
        """Remembers that files were not found; their LoRAs stay listed."""
        with self._transaction():
            marks = [(path,) for path in paths]
            self._connection.executemany(
                "UPDATE paths SET missing = 1 WHERE path = ?", marks
            )

    def mark_present(self, paths: Iterable[str]) -> None:
        """Takes back that files were missing."""
        with self._transaction():
            marks = [(path,) for path in paths]
            self._connection.executemany(
                "UPDATE paths SET missing = 0 WHERE path = ? AND missing", marks
            )

    def forget_missing(self) -> int:
        """Removes missing paths, and LoRAs without any path; returns how many went."""
        with self._transaction():
            rows = self._query("SELECT path FROM paths WHERE missing")
            return self._drop_paths([path for (path,) in rows])

    def add_path(self, key: str, path: Path, stamp: FileStamp) -> None:
        """Remembers a further file of a known LoRA."""
        with self._transaction():
            self._write_path(key, path, stamp)

    def drop_paths(self, paths: Iterable[str]) -> None:
        """Forgets paths whose LoRA lies elsewhere now."""
        with self._transaction():
            self._drop_paths(list(paths))

    def refuse(self, refusal: Refusal) -> None:
        """Remembers a file that cannot be used, and forgets what it was before."""
        with self._transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO refused VALUES (?, ?, ?)",
                (refusal.path, refusal.reason, refusal.hint),
            )
            self._drop_paths([refusal.path])

    def refused(self) -> list[Refusal]:
        """The files that could not be read when they were last seen."""
        rows = self._query("SELECT path, reason, hint FROM refused ORDER BY path")
        return [Refusal(*row) for row in rows]

    def get_meta(self, key: str) -> str | None:
        rows = self._query("SELECT value FROM meta WHERE key = ?", key)
        return rows[0][0] if rows else None

    def set_meta(self, key: str, value: str) -> None:
        with self._transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value)
            )

    def _write_facts(self, key: str, facts: Facts) -> None:
        values = [key, *astuple(facts)[:-2], *(_as_json(facts, n) for n in _LISTS)]
        marks = ", ".join("?" * len(values))
        names = ", ".join(_FACTS)
        changes = ", ".join(f"{name} = excluded.{name}" for name in _FACTS)
        self._connection.execute(
            f"INSERT INTO loras (key, {names}) VALUES ({marks}) "
            f"ON CONFLICT(key) DO UPDATE SET {changes}",
            values,
        )

    def _write_path(self, key: str, path: Path, stamp: FileStamp) -> None:
        """Points a path to a LoRA; one that thereby loses its last path goes."""
        before = self.key_at(path)
        self._connection.execute(
            "INSERT OR REPLACE INTO paths VALUES (?, ?, ?, ?, ?, 0)",
            (str(path), key, *stamp),
        )
        self._connection.execute("DELETE FROM refused WHERE path = ?", (str(path),))
        if before not in (None, key):
            self._drop_if_pathless(str(before))

    def _write_vector(
        self, key: str, space: str, vector: Float[np.ndarray, " e"]
    ) -> None:
        put_vector(self._connection, space, key, vector)
        self._grow_revision()

    def _drop_paths(self, paths: list[str]) -> int:
        """Removes paths, and the LoRAs that lose their last; returns how many went."""
        keys = [self._query("SELECT key FROM paths WHERE path = ?", p) for p in paths]
        gone = [(path,) for path in paths]
        self._connection.executemany("DELETE FROM paths WHERE path = ?", gone)
        return sum(self._drop_if_pathless(key) for ((key,),) in filter(None, keys))

    def _drop_if_pathless(self, key: str) -> int:
        """Removes a LoRA that no path leads to, and its vectors; returns how many."""
        gone = self._connection.execute(
            "DELETE FROM loras WHERE key = ? "
            "AND NOT EXISTS (SELECT 1 FROM paths WHERE paths.key = loras.key)",
            (key,),
        )
        self._grow_revision()
        return gone.rowcount

    def _grow_revision(self) -> None:
        self._connection.execute(
            "INSERT INTO meta VALUES ('revision', '1') ON CONFLICT(key) "
            "DO UPDATE SET value = CAST(value AS INTEGER) + 1"
        )

    def _paths_by_key(self) -> dict[str, list[tuple[str, int]]]:
        found: dict[str, list[tuple[str, int]]] = {}
        for key, path, missing in self._query("SELECT key, path, missing FROM paths"):
            found.setdefault(key, []).append((path, missing))
        return found

    def _query(self, statement: str, *values: str | int) -> list[tuple]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise unusable(self.path, error) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except BaseException as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise unusable(self.path, error) from error
            raise


def _empty(space: str) -> LibraryError:
    name = parse_space(space)
    bundle = "" if name.encoder == NO_ENCODER else " --model BUNDLE"
    return LibraryError(
        f"no LoRA of {name.base_model} in this library has a vector in space {space}",
        f"bring some in with `lorajax index FOLDER{bundle}`",
    )


def _uneven(path: Path, space: str) -> LibraryError:
    return LibraryError(
        f"{path}: vectors of different lengths in space {space}",
        "index again with --refit",
    )


def _as_json(facts: Facts, name: str) -> str:
    return json.dumps(getattr(facts, name), ensure_ascii=False)


def _entry(row: tuple, paths: list[tuple[str, int]]) -> Entry:
    """An entry from a row of `loras` and its (path, missing) pairs."""
    *plain, warnings, tags = row[1:]
    facts = Facts(*plain, warnings=tuple(_list(warnings)), tags=tuple(_list(tags)))
    ordered = sorted(paths, key=lambda pair: (pair[1], pair[0]))
    missing = all(gone for _, gone in ordered)
    return Entry(row[0], facts, tuple(path for path, _ in ordered), missing)


def _list(text: str) -> tuple[str, ...]:
    return () if text == "[]" else tuple(json.loads(text))
