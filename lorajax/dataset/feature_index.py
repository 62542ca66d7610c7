"""The index of a feature cache: which content key has which row, and its checksum.

An SQLite file in WAL mode: readers never wait, one writer at a time, and a killed
writer loses only what it had not committed. Rows are numbered without gaps from 0, so
the next free row is their number.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lorajax.errors import DatasetError

BUSY_SECONDS = 30.0
_DAMAGE = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_TABLES = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE records (place INTEGER PRIMARY KEY, "
    "key TEXT NOT NULL UNIQUE, checksum INTEGER NOT NULL)",
)


class Damaged(Exception):
    """Files of a cache that are not to be trusted; `open_cache` makes them anew."""


class FeatureIndex:
    """An open index."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def close(self) -> None:
        self._connection.close()

    def rows(self) -> int:
        """How many records are committed."""
        ((rows,),) = self._execute("SELECT COALESCE(MAX(place) + 1, 0) FROM records")
        return rows

    def find(self, keys: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Place and checksum of the keys that have a record."""
        select = "SELECT place, checksum FROM records WHERE key = ?"
        found = {key: self._execute(select, key) for key in set(keys)}
        return {key: rows[0] for key, rows in found.items() if rows}

    def write(self, key: str, place: int, checksum: int) -> None:
        """Names the record at a place, which held none or a damaged one of this key."""
        self._execute(
            "INSERT OR REPLACE INTO records (place, key, checksum) VALUES (?, ?, ?)",
            *(place, key, checksum),
        )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction, in which no other process adds records."""
        with _transaction(self._connection):
            yield

    def _execute(self, statement: str, *values: str | int) -> list[tuple[Any, ...]]:
        with readable_errors(self.path):
            return self._connection.execute(statement, values).fetchall()


def open_index(path: Path, meta: Mapping[str, str]) -> FeatureIndex:
    """Opens the index that says the expected things of itself, or makes an empty one.

    Raises:
      Damaged: where it is broken, or says something else.
    """
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        _prepare(connection, meta)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error) and _is_damage(error):
            raise Damaged(f"expected an index, found a broken one: {error}") from error
        raise
    return FeatureIndex(path, connection)


def is_in_use(path: Path) -> bool:
    """Whether anyone has an index open: only alone can it leave WAL mode."""
    connection = sqlite3.connect(path, timeout=0.0, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.Error as error:
        return not _is_damage(error)
    finally:
        connection.close()
    return False


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a file as a lock between processes; a killed one lets go of it."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        connection.close()


@contextmanager
def readable_errors(path: Path) -> Iterator[None]:
    """Tells in a person's words where SQLite or the disk says no."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise DatasetError(
            f"{path}: the feature cache cannot be read or written ({error})",
            "check that its disk is writable and has space and that no other process "
            "holds it, or delete the folder: all in it can be made again",
        ) from error


def _prepare(connection: sqlite3.Connection, meta: Mapping[str, str]) -> None:
    if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        _create(connection, meta)
    ((health, *_), *_) = connection.execute("PRAGMA quick_check(1)").fetchall()
    if health != "ok":
        raise Damaged(f"expected an index, found a broken one: {health}")
    found = dict(connection.execute("SELECT name, value FROM meta").fetchall())
    if found != meta:
        raise Damaged(f"expected records of {dict(meta)}, found {found}")
    # A commit may be lost with the power, never its order: the key is missing then.
    connection.execute("PRAGMA synchronous = NORMAL")


def _create(connection: sqlite3.Connection, meta: Mapping[str, str]) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    with _transaction(connection):
        for table in _TABLES:
            connection.execute(table)
        connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether an error speaks of the contents, not of locks, rights or the disk."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF in _DAMAGE  # the low byte is the kind, the rest the detail
