"""The rows of the table `vectors`: the truth that every matrix is made from.

Ids only grow, and by a random step: two histories of one library, as a restored backup
and what was written after it, do not give the same id to different vectors. A vector
that is written again gets a new id. So a vector's id says which vector it is, and a
matrix that holds an id holds its vector.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from jaxtyping import Float, Int

LARGEST_STEP = 2**20
_PUT = f"""
INSERT INTO vectors (id, space, key, vector) VALUES (
  COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'vectors'), 0)
  + 1 + (random() & {LARGEST_STEP - 1}), ?, ?, ?
)
"""
ID_OF = "SELECT id FROM vectors WHERE space = ? AND key = ?"
KEY_OF = "SELECT key FROM vectors WHERE id = ?"
_BATCH_BYTES = 2**24


def put_vector(
    connection: sqlite3.Connection,
    space: str,
    key: str,
    vector: Float[np.ndarray, " e"],
) -> None:
    """Writes the vector of a LoRA in a space, instead of the one of before."""
    connection.execute("DELETE FROM vectors WHERE space = ? AND key = ?", (space, key))
    stored = np.ascontiguousarray(vector, dtype="<f4").tobytes()
    connection.execute(_PUT, (space, key, stored))


def ids_of(connection: sqlite3.Connection, space: str) -> Int[np.ndarray, " n"]:
    """The ids of a space, growing."""
    rows = connection.execute("SELECT id FROM vectors WHERE space = ?", (space,))
    return np.sort(np.fromiter((id_ for (id_,) in rows), dtype=np.int64))


def width_of(connection: sqlite3.Connection, space: str) -> int:
    """How many numbers the vectors of a space that is not empty have."""
    statement = "SELECT length(vector) FROM vectors WHERE space = ? LIMIT 1"
    return connection.execute(statement, (space,)).fetchone()[0] // 4


def vectors_after(
    connection: sqlite3.Connection, space: str, last: int
) -> Iterator[tuple[list[int], list[bytes]]]:
    """Ids beyond `last` and the bytes of their vectors, in order, batch by batch."""
    rows = connection.execute(
        "SELECT id, vector FROM vectors WHERE space = ? AND id > ? ORDER BY id",
        (space, last),
    )
    first = rows.fetchone()
    if first is None:
        return
    yield [first[0]], [first[1]]
    count = max(1, _BATCH_BYTES // max(1, len(first[1])))
    while batch := rows.fetchmany(count):
        yield [id_ for id_, _ in batch], [vector for _, vector in batch]


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Whatever is read inside is of one moment, and later commits do not show."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")
