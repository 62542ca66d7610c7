"""One at a time may continue a run, however many ask: threads, screens, commands."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from lorajax.errors import CheckpointError

CLAIM = "continuing"


@contextmanager
def claimed(run: Path) -> Iterator[None]:
    """Keeps all others from continuing a run meanwhile.

    Raises:
      CheckpointError: where another one does so, or the folder cannot be written.
    """
    # SQLite's lock is the same on every system, holds among the threads of a process
    # as well, and goes with its process. The file stays empty.
    try:
        connection = sqlite3.connect(run / CLAIM, timeout=0, isolation_level=None)
    except sqlite3.Error as error:
        raise _refusal(run, error) from error
    with closing(connection):
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            raise _refusal(run, error) from error
        yield


def _refusal(run: Path, error: sqlite3.Error) -> CheckpointError:
    if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
        words, hint = "it is being continued already", "wait a moment, and look at it"
    else:
        words = f"its folder cannot be claimed ({error})"
        hint = "continue it where its folder can be written"
    return CheckpointError(f"{run.name}: {words}", hint)
