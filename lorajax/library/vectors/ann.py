"""An index over a large matrix: a graph of usearch, built on request.

It holds int8 copies of the rows that its matrix had when it was built, under their row
numbers, and only proposes rows: cosines and order come from the matrix itself. Rows
that were appended since are searched exactly, removed ones are passed over. A matrix
that is made anew has other row numbers, and its index is dropped with it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from lorajax.library.vectors import exact
from lorajax.library.vectors.state import State
from lorajax.library.vectors.table import file_digest

CONNECTIVITY, EXPANSION_ADD = 16, 128
# Candidates that the graph keeps while it is searched, and least that it proposes.
EXPANSION, PROPOSED = 1024, 128
# Where more would have to be proposed, because few rows are allowed, exact is quicker.
MOST_PROPOSED = 4096


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
        graph = new_graph(state.width)
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


def new_graph(width: int) -> Any:
    """An empty graph of usearch for vectors of a width."""
    from usearch.index import Index as Graph  # heavy, and only large matrices need it

    return Graph(
        ndim=width,
        metric="cos",
        dtype="i8",
        connectivity=CONNECTIVITY,
        expansion_add=EXPANSION_ADD,
        expansion_search=EXPANSION,
    )
