"""Whether a library file is whole, told before anything in it is relied upon."""

import sqlite3
from pathlib import Path

from lorajax.library.store.schema import check_identity, has_present_tables

_MOST = 10
_ORPHANS = """
SELECT (SELECT COUNT(*) FROM loras WHERE id NOT IN (SELECT rowid FROM texts))
     + (SELECT COUNT(*) FROM texts WHERE rowid NOT IN (SELECT id FROM loras))
"""


def damages(path: Path) -> list[str]:
    """What is wrong with a library file, a line each; nothing where it is whole.

    Every page is read: a second per gigabyte. Nothing is written.

    Raises:
      LibraryError: for a database of another program or version.
      sqlite3.OperationalError: where the file cannot be opened or is in use.
    """
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        check_identity(connection, path)
        return _damages(connection)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        return [str(error)]
    finally:
        connection.close()


def _damages(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute(f"PRAGMA quick_check({_MOST})").fetchall()
    lines = [" ".join(line.split()) for (line,) in found if line != "ok"]
    if lines:
        return lines
    strays = connection.execute("PRAGMA foreign_key_check").fetchmany(_MOST)
    lines += [f"a row of {table} belongs to no LoRA" for table, *_ in strays]
    if not has_present_tables(connection):
        return lines  # it keeps no words apart
    ((apart,),) = connection.execute(_ORPHANS).fetchall()
    if apart:
        lines.append(f"the words of {apart} LoRAs are missing or stray")
    return lines
