"""Nearest neighbours inside one space.

Receives a query (an entry of the library, or a vector of a file outside it), hands out
`Matches`. Similarity is the cosine; it is defined only between vectors of one space,
so a search never leaves the space of its query.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lorajax.errors import LibraryError
from lorajax.library.entry import EMBEDDABLE_TIERS, Entry
from lorajax.library.store import Library
from lorajax.library.vectors import Matrix, search


@dataclass(frozen=True, slots=True)
class Match:
    """One neighbour: rank counts from 1, similarity is a cosine in [-1, 1]."""

    rank: int
    key: str
    name: str
    path: str
    similarity: float
    tier: str


@dataclass(frozen=True, slots=True)
class Matches:
    """The neighbours of a query, nearest first.

    Attributes:
      query: the name of the query; `key` its content key, "" for a foreign file.
      searched: how many other LoRAs the space holds.
      note: what a person should know of the search; "" where all is as it should be.
    """

    query: str
    key: str
    space: str
    searched: int
    matches: tuple[Match, ...]
    note: str = ""


def nearest(
    library: Library,
    matrix: Matrix,
    vector: Float[np.ndarray, " e"],
    k: int,
    query: str,
    key: str = "",
) -> Matches:
    """The nearest stored LoRAs of a vector of the same space; `key` is left out."""
    itself = int(library.vector_id(matrix.space, key) is not None)
    found = search(matrix, vector[None], k + itself)
    keys = library.keys_of(found.ids[0].tolist())
    pairs = zip(keys, found.similarity[0].tolist(), strict=True)
    others = [(other, value) for other, value in pairs if other not in (None, key)]
    matches = tuple(
        _match(library, i, str(other), value)
        for i, (other, value) in enumerate(others[:k], 1)
    )
    searched = len(matrix) - itself
    return Matches(query, key, matrix.space, searched, matches, found.note)


def _match(library: Library, rank: int, key: str, similarity: float) -> Match:
    entry = library.entry(key)
    if entry is None:
        return Match(rank, key, key, "", similarity, "opaque")
    return Match(rank, key, entry.name, entry.path, similarity, entry.facts.tier)


def vector_of(
    library: Library, matrix: Matrix, entry: Entry
) -> Float[np.ndarray, " e"]:
    """The unit vector of an entry in the space of a matrix.

    Raises:
      LibraryError: when it was removed or written anew since the matrix was opened.
    """
    id_ = library.vector_id(matrix.space, entry.key)
    row = None if id_ is None else matrix.row(id_)
    if row is None:
        raise LibraryError(
            f"{entry.name}: its vector was just removed or written anew", "try again"
        )
    return matrix.rows[row]


def space_of(library: Library, entry: Entry, asked: str | None = None) -> str:
    """The space in which an entry is compared.

    Args:
      asked: the space to compare in; None is the current one of its base model, or
        the newest in which it has a vector.

    Raises:
      LibraryError: when the entry has no vector there.
    """
    spaces = library.spaces_of(entry.key)
    wanted = asked or library.current_space(entry.facts.base_model)
    if wanted in spaces:
        return str(wanted)
    if spaces and asked is None:
        return spaces[-1]
    if entry.facts.tier not in EMBEDDABLE_TIERS:
        raise LibraryError(
            f"{entry.name}: a LoRA of tier '{entry.facts.tier}' has no vector",
            "only tiers 'exact' and 'direction' can be compared",
        )
    if asked is not None:
        raise LibraryError(
            f"{entry.name}: it has no vector in space {asked}",
            "run `lorajax index` on its folder with the same --model",
        )
    raise LibraryError(
        f"{entry.name}: it has no vector yet", "run `lorajax index` on its folder"
    )
