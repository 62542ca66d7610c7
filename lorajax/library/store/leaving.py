"""LoRAs that no path leads to: they go, but what a person said of them is kept.

All of a LoRA but that can be had again from its file, and a file that was damaged for a
moment, or overwritten, comes back from a backup. Called inside transactions.

Until a run gets to its end they stay, as a path may lead to them again. People see none
of them: whatever lists, names or counts LoRAs for people asks for those `PLACED`.
"""

from lorajax.library.entry import PERSON
from lorajax.library.store.database import Database

# True of a row of `loras` that a path leads to, a missing one too.
PLACED = "EXISTS (SELECT 1 FROM paths WHERE paths.key = loras.key)"
# The same for queries over all LoRAs: keys are compared once, in their order, which is
# five times as fast as row by row.
ALL_PLACED = f"loras.id NOT IN (SELECT id FROM loras WHERE NOT {PLACED})"
_KEEP = f"""
INSERT OR REPLACE INTO kept_labels
SELECT * FROM labels WHERE source = ?
AND key IN (SELECT key FROM loras WHERE NOT {PLACED})
"""
_RETURN = "INSERT OR IGNORE INTO labels SELECT * FROM kept_labels WHERE key = ?"


def keep_labels(database: Database) -> None:
    """Keeps what a person said of LoRAs without a path, by their content keys."""
    database.execute(_KEEP, PERSON)


def drop_pathless(database: Database) -> int:
    """Removes LoRAs without a path, and all that refers to them; returns how many."""
    gone = database.query(f"SELECT id FROM loras WHERE NOT {PLACED}")
    database.execute_many("DELETE FROM texts WHERE rowid = ?", gone)
    database.execute_many("DELETE FROM loras WHERE id = ?", gone)
    if gone:
        database.grow_revision()
    return len(gone)


def return_labels(database: Database, key: str) -> None:
    """Has the kept labels of a LoRA hold again: a file with it has come back."""
    database.execute(_RETURN, key)
    database.execute("DELETE FROM kept_labels WHERE key = ?", key)
