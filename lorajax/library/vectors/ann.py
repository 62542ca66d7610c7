"""An index over a large matrix: a graph of usearch, built on request.

It holds int8 copies of the rows that its matrix had when it was built, under their row
numbers, and only proposes rows: cosines and order come from the matrix itself. Rows
that were appended since are searched exactly, removed ones are passed over. A matrix
that is made anew has other row numbers, and its index is dropped with it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int

from lorajax.library.vectors import exact
from lorajax.library.vectors.state import (
    INDEX,
    CacheError,
    State,
    locked,
    new_name,
    read_state,
)
from lorajax.library.vectors.table import file_digest

if TYPE_CHECKING:
    from lorajax.library.vectors.matrix import Matrix

CONNECTIVITY, EXPANSION_ADD = 16, 128
# Candidates that the graph keeps while it is searched, and least that it proposes.
EXPANSION, PROPOSED = 2048, 128
# Where more would have to be proposed, because few rows are allowed, exact is quicker.
MOST_PROPOSED = 4096
_BATCH, _PLACED_EVERY = 10_000, 200_000
OnRows = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Index:
    """An index, mapped from its file.

    Attributes:
      graph: of usearch; its keys are row numbers.
      rows: how many leading rows of the matrix it covers.
    """

    graph: Any
    rows: int


def open_index(folder: Path, state: State) -> Index | None:
    """The index of a matrix, or None where there is no sound one."""
    path = folder / state.index_file
    try:
        # The digest is looked at first: usearch trusts its files.
        if not state.index_file or file_digest(path) != state.index_digest:
            return None
        graph = _new_graph(state.width)
        graph.view(str(path))
    except OSError:
        return None
    graph.expansion_search = EXPANSION
    return Index(graph, state.index_rows)


def nearest(
    index: Index,
    rows: Float[np.ndarray, "n e"],
    queries: Float[np.ndarray, "q e"],
    k: int,
    mask: Bool[np.ndarray, " n"],
) -> tuple[Int[np.ndarray, "q k"], Float[np.ndarray, "q k"]] | None:
    """As `exact.nearest` among the rows of a mask; None where it would not be quicker.

    The graph proposes more rows than are wanted, the more the fewer the mask allows.
    Where it proposes too few of them nevertheless, that query is searched exactly.
    """
    allowed = int(mask[: index.rows].sum())
    proposed = max(PROPOSED, 4 * k) * index.rows // max(1, allowed)
    if proposed > MOST_PROPOSED:
        return None
    since = index.rows + np.flatnonzero(mask[index.rows :])
    found, similarity = [], []
    for query in queries:
        keys = index.graph.search(query, proposed, threads=1).keys.astype(np.int64)
        keys = keys[mask[keys]]
        enough = len(keys) >= min(k, allowed)
        if enough:
            chosen = np.concatenate([np.sort(keys), since])
        else:
            chosen = np.flatnonzero(mask)
        best, cosines = exact.nearest(rows, query[None], k, chosen)
        found.append(best[0])
        similarity.append(cosines[0])
    return np.stack(found), np.stack(similarity)


def build_index(matrix: "Matrix", folder: Path, on_rows: OnRows | None = None) -> int:
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
    graph, start = _new_graph(matrix.rows.shape[1]), 0
    known = read_state(folder, matrix.space)
    if matrix.index is not None and known is not None and known.index_file:
        graph.load(str(folder / known.index_file))
        start = known.index_rows
    total, placed = len(matrix.rows), start
    for first in range(start, total, _BATCH):
        keys = first + np.flatnonzero(matrix.alive[first : first + _BATCH])
        graph.add(keys.astype(np.uint64), matrix.rows[keys])
        done = min(first + _BATCH, total)
        if done == total or done - placed >= _PLACED_EVERY:
            _place(graph, done, matrix, folder)
            placed = done
        if on_rows is not None:
            on_rows(done - start, total - start)
    return total


def _place(graph: Any, rows: int, matrix: "Matrix", folder: Path) -> None:
    """Makes a graph the index of its matrix, which covers so many leading rows."""
    with locked(folder) as held:
        state = held.read(matrix.space)
        if state is None or state.file != matrix.file:
            raise CacheError(folder, "they were written anew while they were indexed")
        path = folder / new_name(INDEX)
        graph.save(str(path))
        state = replace(state, index_file=path.name, index_rows=rows)
        held.write(replace(state, index_digest=file_digest(path)))


def _new_graph(width: int) -> Any:
    from usearch.index import Index as Graph  # heavy, and only large matrices need it

    return Graph(
        ndim=width,
        metric="cos",
        dtype="i8",
        connectivity=CONNECTIVITY,
        expansion_add=EXPANSION_ADD,
        expansion_search=EXPANSION,
    )
