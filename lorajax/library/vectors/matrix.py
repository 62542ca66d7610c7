"""The matrix of a space: brought up to date with the library and mapped into memory.

The file of a matrix holds rows that the library had at some moment. Which of them it
still has, and which it has besides, is seen from the ids: missing rows are appended,
removed ones are passed over, and where a quarter is removed the file is made anew. An
id that the file should know and does not, a file that does not have its digests, a
width that changed: in each case it is made anew from the library, which is the truth.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from lorajax.library.vectors import table
from lorajax.library.vectors.ann import Index, open_index
from lorajax.library.vectors.rows import (
    ids_of,
    snapshot,
    vectors_after,
    width_of,
)
from lorajax.library.vectors.state import (
    ROWS,
    CacheError,
    Locked,
    State,
    locked,
    new_name,
    read_state,
)

# Numbers in a matrix from which on an index is asked where there is one: exact search
# passes over them all, in about 50 ms on two cores (`docs/library.md`).
LARGE = 2**27
MOST_DEAD = 0.25  # of the rows of a file


@dataclass(frozen=True)
class Matrix:
    """The unit vectors of a space at one moment.

    Attributes:
      ids: of the rows, growing; each is the id of a row of the table `vectors`.
      rows: unit vectors, row by row.
      alive: which rows the library still has.
      file: that they are mapped from, in the folder of caches; "" where there is none.
      index: for large matrices, where one was built.
      note: why the matrix is not kept on disk; "" where it is.
    """

    space: str
    ids: Int[np.ndarray, " n"]
    rows: Float[np.ndarray, "n e"]
    alive: Bool[np.ndarray, " n"]
    file: str = ""
    index: Index | None = None
    note: str = ""

    def __len__(self) -> int:
        """How many vectors the space has."""
        return self._count

    @cached_property
    def _count(self) -> int:
        return int(self.alive.sum())

    @property
    def is_large(self) -> bool:
        """Whether passing over all rows takes so long that an index is worth it."""
        return self.rows.size >= LARGE

    def row(self, id_: int) -> int | None:
        """The row of an id, or None where the space has no such vector."""
        found = np.flatnonzero(_having(self.ids, np.array([id_])) & self.alive)
        return int(found[0]) if len(found) else None

    def mask(self, ids: Int[np.ndarray, " a"]) -> Bool[np.ndarray, " n"]:
        """Which rows have one of these ids, which may be ids of anything."""
        return _having(self.ids, ids) & self.alive


def open_matrix(
    connection: sqlite3.Connection, folder: Path, space: str
) -> Matrix | None:
    """The matrix of a space as the library has it now, or None where it is empty.

    Args:
      connection: to the library.
      folder: of its caches; where it cannot be written the matrix is held in memory.

    Raises:
      WidthError: where vectors of the space have different lengths.
    """
    with snapshot(connection):
        ids = ids_of(connection, space)
        if len(ids) == 0:
            return None
        try:
            return _up_to_date(connection, folder, space, ids)
        except CacheError as error:
            note = f"the vectors are read anew for every use: {error.message}"
            return _in_memory(connection, space, note)


def _up_to_date(
    connection: sqlite3.Connection,
    folder: Path,
    space: str,
    ids: Int[np.ndarray, " n"],
) -> Matrix:
    found = _mapped(folder, read_state(folder, space), ids)
    if found is not None and len(found) == len(ids):
        return found
    with locked(folder) as held:
        # Mapped while it is locked: later its file may be replaced by a newer one.
        found = _mapped(folder, _refreshed(connection, held, space, ids), ids)
    if found is None or len(found) != len(ids):
        raise CacheError(folder, "a file does not hold what was written to it")
    return found


def _mapped(
    folder: Path, state: State | None, ids: Int[np.ndarray, " n"]
) -> Matrix | None:
    """The matrix as its file has it; None where the file is not to be used."""
    if state is None:
        return None
    path = folder / state.file
    held = table.mapped(path, state.width, state.rows, state.digests)
    if held is None:
        return None
    alive = _having(held.ids, ids)
    strange = np.count_nonzero(ids <= held.ids[-1]) != np.count_nonzero(alive)
    if strange or np.mean(alive) < 1 - MOST_DEAD:
        return None
    index = open_index(folder, state)
    return Matrix(state.space, held.ids, held.rows, alive, state.file, index)


def _refreshed(
    connection: sqlite3.Connection,
    held: Locked,
    space: str,
    ids: Int[np.ndarray, " n"],
) -> State:
    """The state after missing rows were appended, or all were written anew."""
    state = held.read(space)
    found = _mapped(held.folder, state, ids)
    if state is None or found is None:
        state = State(space, new_name(ROWS), width_of(connection, space), 0, b"")
        last = 0
    else:
        last = int(found.ids[-1])
    if last >= ids[-1]:
        return state  # another process was faster
    batches = _batches(connection, space, last, state.width)
    path = held.folder / state.file
    rows, digests = table.append(path, state.rows, state.width, batches, state.digests)
    state = replace(state, rows=rows, digests=digests)
    held.write(state)
    return state


def _in_memory(connection: sqlite3.Connection, space: str, note: str) -> Matrix:
    batches = _batches(connection, space, 0, width_of(connection, space))
    every = np.concatenate(list(batches))
    alive = np.ones(len(every), bool)
    return Matrix(space, every["id"].copy(), every["vector"], alive, note=note)


def _batches(
    connection: sqlite3.Connection, space: str, last: int, width: int
) -> Iterator[np.ndarray]:
    for ids, vectors in vectors_after(connection, space, last):
        yield table.packed(ids, vectors, width)


def _having(
    ids: Int[np.ndarray, " n"], wanted: Int[np.ndarray, " a"]
) -> Bool[np.ndarray, " n"]:
    """Which of the growing `ids` are wanted: `np.isin`, without sorting them again."""
    places = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    found = np.zeros(len(ids), bool)
    found[places[ids[places] == wanted]] = True
    return found
