"""Building the index of a large matrix, on request and resumably."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lorajax.library.vectors.ann import new_graph
from lorajax.library.vectors.matrix import Matrix
from lorajax.library.vectors.state import (
    INDEX,
    CacheError,
    locked,
    new_name,
    read_state,
)
from lorajax.library.vectors.table import file_digest

_BATCH, _PLACED_EVERY = 10_000, 200_000
OnRows = Callable[[int, int], None]


def build_index(matrix: Matrix, folder: Path, on_rows: OnRows | None = None) -> int:
    """Builds the index of a matrix, or adds the rows that its index does not have.

    Takes minutes for a million rows. What is built is put into its place every now and
    then, so that searches can use it, and a build that was interrupted goes on there.

    Args:
      folder: the caches of the library.
      on_rows: called with (rows done, rows to do) after every few thousand.

    Returns:
      How many rows the index covers.

    Raises:
      CacheError: where the folder cannot be written, or the matrix was made anew.
    """
    graph, start = new_graph(matrix.rows.shape[1]), 0
    known = read_state(folder, matrix.space)
    if matrix.index is not None and known is not None and known.index_file:
        graph.load(str(folder / known.index_file))
        start = known.index_rows
    total, placed = len(matrix.rows), start
    for first in range(start, total, _BATCH):
        keys = first + np.flatnonzero(matrix.alive[first : first + _BATCH])
        # Threads that add at once lose a few rows in ten thousand: they link to one
        # another before either is linked to the rest, and no search reaches them.
        graph.add(keys.astype(np.uint64), matrix.rows[keys], threads=1)
        done = min(first + _BATCH, total)
        if done == total or done - placed >= _PLACED_EVERY:
            _place(graph, done, matrix, folder)
            placed = done
        if on_rows is not None:
            on_rows(done - start, total - start)
    return total


def _place(graph: Any, rows: int, matrix: Matrix, folder: Path) -> None:
    """Makes a graph the index of its matrix, which covers so many leading rows."""
    with locked(folder) as held:
        state = held.read(matrix.space)
        if state is None or state.file != matrix.file:
            raise CacheError(folder, "they were written anew while they were indexed")
        path = folder / new_name(INDEX)
        graph.save(str(path))
        state = replace(state, index_file=path.name, index_rows=rows)
        held.write(replace(state, index_digest=file_digest(path)))
