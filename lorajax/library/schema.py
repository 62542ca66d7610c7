"""The tables of a library file, and opening one safely.

A library is a SQLite file in WAL mode: readers never wait for the writer, and a killed
writer loses nothing that was committed. The file says what it is (`application_id`)
and in which version (`user_version`); anything else is refused untouched.
"""

import sqlite3
from pathlib import Path

from lorajax.errors import LibraryError

APPLICATION_ID = 0x4C4A4158  # "LJAX"
SCHEMA_VERSION = 1
_BUSY_SECONDS = 30.0

TABLES = """
CREATE TABLE loras (
  key TEXT PRIMARY KEY, name TEXT NOT NULL, base_model TEXT NOT NULL,
  family TEXT NOT NULL, format TEXT NOT NULL, tier TEXT NOT NULL, dtype TEXT NOT NULL,
  rank_min INTEGER NOT NULL, rank_median REAL NOT NULL, rank_max INTEGER NOT NULL,
  modules_mapped INTEGER NOT NULL, modules_total INTEGER NOT NULL,
  unmapped INTEGER NOT NULL, dead INTEGER NOT NULL, norm REAL NOT NULL,
  warnings TEXT NOT NULL, tags TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE paths (
  path TEXT PRIMARY KEY, key TEXT NOT NULL REFERENCES loras(key) ON DELETE CASCADE,
  size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
  missing INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX paths_of_lora ON paths(key);
CREATE INDEX missing_paths ON paths(key) WHERE missing;
CREATE TABLE vectors (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  space TEXT NOT NULL, key TEXT NOT NULL REFERENCES loras(key) ON DELETE CASCADE,
  vector BLOB NOT NULL, UNIQUE (space, key)
);
CREATE INDEX vectors_of_lora ON vectors(key);
CREATE TABLE refused (
  path TEXT PRIMARY KEY, reason TEXT NOT NULL, hint TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


def connect(path: Path, create: bool) -> sqlite3.Connection:
    """Opens the library file, making it where asked, or says why it cannot."""
    if not create and not path.exists():
        raise LibraryError(
            f"{path}: there is no library here yet",
            "make one with `lorajax index FOLDER`",
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise unusable(path, error) from error
    try:
        _prepare(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise unusable(path, error) from error
    except LibraryError:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    if _is_empty(connection):
        _create(connection)
    check_identity(connection, path)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _is_empty(connection: sqlite3.Connection) -> bool:
    return not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()


def _create(connection: sqlite3.Connection) -> None:
    """Makes the tables in one transaction, unless another process was faster."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _is_empty(connection):
            for statement in filter(str.strip, TABLES.split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def check_identity(connection: sqlite3.Connection, path: Path) -> None:
    """Refuses a database of another program or of another version."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise LibraryError(
            f"{path}: expected a lorajax library, found another program's database",
            "choose another file with --library or LORAJAX_LIBRARY",
        )
    if version != SCHEMA_VERSION:
        raise LibraryError(
            f"{path}: expected library version {SCHEMA_VERSION}, found {version}",
            "use the lorajax that wrote it, or move it away and index again",
        )


def unusable(path: Path, error: Exception) -> LibraryError:
    """The error to raise where SQLite or the disk says no."""
    text = str(error)
    if "not a database" in text or "malformed" in text or "corrupt" in text:
        return LibraryError(
            f"{path}: expected a lorajax library, found a damaged or foreign file",
            "restore a copy, or move it away and run `lorajax index` again",
        )
    if "locked" in text or "busy" in text:
        return LibraryError(
            f"{path}: the library is in use by another process",
            "wait until its indexing is done, then try again",
        )
    return LibraryError(
        f"{path}: the library cannot be opened or written ({text})",
        "check that the folder exists, is writable and has free space",
    )
