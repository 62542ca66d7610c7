"""Which files hold the matrix and the index of which space, and who may change them.

The folder of a library's caches holds a small SQLite file of its own. Its write lock is
that of the folder: it works on every system, and a killed process loses it. Its
transactions make every change of files visible at once, or not at all.
"""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from lorajax.errors import LibraryError

FILE_NAME = "state.sqlite"
ROWS, INDEX = ".rows", ".usearch"
_BUSY_SECONDS = 60.0
_NAMES = "space, file, width, rows, digests, index_file, index_rows, index_digest"
_TABLE = f"CREATE TABLE IF NOT EXISTS states_1 ({_NAMES}, PRIMARY KEY (space))"


class CacheError(LibraryError):
    """The folder of caches cannot be read or written; the library still can."""

    def __init__(self, folder: Path, reason: object) -> None:
        super().__init__(
            f"{folder}: vectors cannot be kept here ({reason})",
            "check that the folder is writable and has free space, then try again",
        )


@dataclass(frozen=True, slots=True)
class State:
    """What is cached for one space.

    Attributes:
      file: of the matrix, in the folder of caches.
      rows: how many of its rows are valid; what lies behind them is not.
      digests: of its blocks.
      index_file: of the index, "" where there is none.
      index_rows: how many leading rows of the matrix it covers.
    """

    space: str
    file: str
    width: int
    rows: int
    digests: bytes
    index_file: str = ""
    index_rows: int = 0
    index_digest: bytes = b""


def vectors_folder(library: Path) -> Path:
    """Where the caches of a library file lie: beside it, so that they move with it."""
    return library.with_name(library.name + ".vectors")


def new_name(suffix: str) -> str:
    """A file name that no process has used before."""
    return secrets.token_hex(8) + suffix


def read_state(folder: Path, space: str) -> State | None:
    """What is cached for a space; None where nothing is, or the file is damaged."""
    if not (folder / FILE_NAME).exists():
        return None
    try:
        with closing(_connect(folder)) as connection:
            return _read(connection, space)
    except sqlite3.DatabaseError:
        return None


class Locked:
    """The folder while no other process changes it."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self._connection = connection

    def read(self, space: str) -> State | None:
        return _read(self._connection, space)

    def write(self, state: State) -> None:
        """Replaces the state of a space, which others see when the lock is let go."""
        marks = ", ".join("?" * len(fields(State)))
        self._connection.execute(
            f"INSERT OR REPLACE INTO states_1 ({_NAMES}) VALUES ({marks})",
            astuple(state),
        )

    def sweep(self) -> None:
        """Deletes files that no state names; those in use may have to stay."""
        pairs = self._connection.execute("SELECT file, index_file FROM states_1")
        used = {name for pair in pairs for name in pair}
        for path in self.folder.iterdir():
            if path.suffix in (ROWS, INDEX) and path.name not in used:
                _delete(path)


@contextmanager
def locked(folder: Path) -> Iterator[Locked]:
    """Keeps other processes from changing the folder; commits at the end.

    Raises:
      CacheError: where the folder cannot be written, or is locked for a minute.
    """
    try:
        folder.mkdir(exist_ok=True)
        connection = _begin(folder)
    except (OSError, sqlite3.Error) as error:
        raise CacheError(folder, error) from error
    with closing(connection):
        try:
            held = Locked(folder, connection)
            yield held
            connection.execute("COMMIT")
            connection.execute("BEGIN IMMEDIATE")
            held.sweep()  # only now: until the commit others are sent to the old files
            connection.execute("COMMIT")
        except (OSError, sqlite3.Error) as error:
            raise CacheError(folder, error) from error


def _begin(folder: Path) -> sqlite3.Connection:
    """A connection that holds the write lock; a damaged file is made anew."""
    for attempt in (1, 2):
        connection = _connect(folder)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_TABLE)
            connection.execute(f"SELECT {_NAMES} FROM states_1").fetchall()
            return connection
        except sqlite3.OperationalError:
            connection.close()
            raise
        except sqlite3.DatabaseError:
            connection.close()
            if attempt == 2:
                raise
            for name in (FILE_NAME + "-journal", FILE_NAME):
                (folder / name).unlink(missing_ok=True)
    raise AssertionError("unreachable")


def _connect(folder: Path) -> sqlite3.Connection:
    file = folder / FILE_NAME
    connection = sqlite3.connect(file, timeout=_BUSY_SECONDS, isolation_level=None)
    # Lost by a crash of the system, it is written again from the library.
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def _read(connection: sqlite3.Connection, space: str) -> State | None:
    statement = f"SELECT {_NAMES} FROM states_1 WHERE space = ?"
    row = connection.execute(statement, (space,)).fetchone()
    return State(*row) if row and _is_sound(row) else None


def _is_sound(row: tuple) -> bool:
    """Whether a row is one that we wrote: SQLite stores anything under any name."""
    kinds = (str, str, int, int, bytes, str, int, bytes)
    if not all(isinstance(v, kind) for v, kind in zip(row, kinds, strict=True)):
        return False
    _, file, width, rows, _, index_file, index_rows, _ = row
    plain = all(Path(name).name == name for name in (file, index_file))
    return plain and min(width, rows) > 0 and 0 <= index_rows <= rows


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        return  # Windows keeps a mapped file; whoever sweeps next will find it again.
