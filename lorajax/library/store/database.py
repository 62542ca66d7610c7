"""A library file as a database: queries, transactions and small notes.

What the library keeps of LoRAs is built upon it (`library`), as are the functions that
search, label and compare: they take the library and use these verbs.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from lorajax.errors import LibraryError
from lorajax.library.store.location import default_path, library_file
from lorajax.library.store.schema import connect, unusable
from lorajax.library.vectors.rows import snapshot

_GROW = """
INSERT INTO meta VALUES (?, '1')
ON CONFLICT(key) DO UPDATE SET value = CAST(value AS INTEGER) + 1
"""
_VECTORS, _PATHS = "revision", "revision:paths"
# The tests' type checker knows no `Self`.
_Opened = TypeVar("_Opened", bound="Database")


class Database:
    """An open library file; also a context manager that closes it."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def open(
        cls: type[_Opened], path: Path | None = None, create: bool = True
    ) -> _Opened:
        """Opens the library at a path (a file or a folder), or the user's own.

        Args:
          path: None means `default_path()`.
          create: whether a library that is not there is made.
        """
        file = default_path() if path is None else library_file(path)
        return cls(file, connect(file, create))

    def close(self) -> None:
        self._connection.close()

    def __enter__(self: _Opened) -> _Opened:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def query(self, statement: str, *values: Any) -> list[tuple]:
        """All rows of a statement.

        Raises:
          LibraryError: where SQLite or the disk says no, or a value is no UTF-8.
        """
        try:
            return self._connection.execute(statement, values).fetchall()
        except UnicodeEncodeError as error:
            raise LibraryError(
                f"expected words in UTF-8, found {error.object!a}",
                "give a content key, or another name",
            ) from error
        except sqlite3.Error as error:
            raise unusable(self.path, error) from error

    def execute(self, statement: str, *values: Any) -> int:
        """Runs a statement that writes; returns how many rows it changed."""
        return self._connection.execute(statement, values).rowcount

    def execute_many(self, statement: str, rows: list[tuple]) -> None:
        """Runs a statement that writes once for every row of values."""
        self._connection.executemany(statement, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside is committed, or nothing; may be nested.

        Raises:
          LibraryError: where SQLite or the disk says no.
        """
        if self._connection.in_transaction:
            yield
            return
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

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Queries inside tell of one moment, whatever others write meanwhile."""
        with snapshot(self._connection):
            yield

    def get_meta(self, key: str) -> str | None:
        """A note of the library by its name, or None."""
        rows = self.query("SELECT value FROM meta WHERE key = ?", key)
        return rows[0][0] if rows else None

    def set_meta(self, key: str, value: str) -> None:
        """Writes a note."""
        with self.transaction():
            self.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", key, value)

    def revision(self) -> int:
        """A number that grows whenever a vector is written or removed."""
        return int(self.get_meta(_VECTORS) or 0)

    def grow_revision(self) -> None:
        """Says, inside a transaction, that vectors have changed."""
        self.execute(_GROW, _VECTORS)

    def paths_revision(self) -> int:
        """A number that grows whenever a path comes, goes or is missing or back."""
        return int(self.get_meta(_PATHS) or 0)

    def grow_paths_revision(self) -> None:
        """Says, inside a transaction, that paths have changed."""
        self.execute(_GROW, _PATHS)
