"""Opening a library file safely, and bringing an older one up to date.

A library is a SQLite file in WAL mode: readers never wait for the writer, and a killed
writer loses nothing that was committed. The file says what it is (`application_id`)
and in which version (`user_version`): older ones are brought up to date in one
transaction, anything else is refused untouched.
"""

import os
import sqlite3
from pathlib import Path

from lorajax.errors import LibraryError
from lorajax.library.store.tables import MIGRATIONS, SCHEMA_VERSION, TABLES

APPLICATION_ID = 0x4C4A4158  # "LJAX"
_BUSY_SECONDS = 30.0
# Parts of what SQLite says → what was found, and what to do.
_TROUBLES = (
    (
        ("not a database",),
        "expected a lorajax library, found a damaged or foreign file",
        "restore a copy, or move it away and run `lorajax index` again",
    ),
    (
        ("malformed", "corrupt"),
        "expected a whole library, found a damaged one",
        "save what can be read with `lorajax library check --repair`",
    ),
    (
        ("locked", "busy"),
        "the library is in use by another process",
        "wait until its indexing is done, then try again",
    ),
    (
        ("disk is full",),
        "expected free space to write to, found a full disk",
        "free some space and run it again: what was written before is kept",
    ),
    (
        ("readonly", "read-only"),
        "expected a library that can be written, found a read-only file or folder",
        "allow writing there, or choose another place with --library",
    ),
)


def connect(path: Path, create: bool) -> sqlite3.Connection:
    """Opens the library file, making it where asked, or says why it cannot."""
    if not create and not os.path.exists(path):
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
    if _version(connection) != SCHEMA_VERSION:
        _migrate(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _is_empty(connection: sqlite3.Connection) -> bool:
    return not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()


def has_present_tables(connection: sqlite3.Connection) -> bool:
    """Whether its tables are those of today but for columns and tables that came."""
    return _version(connection) > 1


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def _create(connection: sqlite3.Connection) -> None:
    """Makes the tables in one transaction, unless another process was faster."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _is_empty(connection):
            _run_all(connection, TABLES)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _migrate(connection: sqlite3.Connection) -> None:
    """Brings an older library up to date: all of it or nothing."""
    connection.execute("PRAGMA legacy_alter_table = ON")
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been faster.
        while (version := _version(connection)) != SCHEMA_VERSION:
            _run_all(connection, MIGRATIONS[version])
            connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    finally:
        connection.execute("PRAGMA legacy_alter_table = OFF")


def _run_all(connection: sqlite3.Connection, statements: str) -> None:
    for statement in filter(str.strip, statements.split(";")):
        connection.execute(statement)


def check_identity(connection: sqlite3.Connection, path: Path) -> None:
    """Refuses a database of another program or of a newer lorajax."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise LibraryError(
            f"{path}: expected a lorajax library, found another program's database",
            "choose another file with --library or LORAJAX_LIBRARY",
        )
    version = _version(connection)
    if version != SCHEMA_VERSION and version not in MIGRATIONS:
        raise LibraryError(
            f"{path}: expected library version {SCHEMA_VERSION} or older, found "
            f"{version}",
            "use the lorajax that wrote it, or move it away and index again",
        )


def unusable(path: Path, error: Exception) -> LibraryError:
    """The error to raise where SQLite or the disk says no."""
    text = str(error)
    for parts, found, hint in _TROUBLES:
        if any(part in text for part in parts):
            return LibraryError(f"{path}: {found}", hint)
    return LibraryError(
        f"{path}: the library cannot be opened or written ({text})",
        "check that the folder exists, is writable and has free space",
    )
