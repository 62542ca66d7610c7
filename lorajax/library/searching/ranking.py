"""The best of a library in groups of copies, by likeness or by words."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from lorajax.library.searching.candidates import Filters, allowed_ids, listed
from lorajax.library.searching.folding import Candidate, Group, fold
from lorajax.library.searching.space import open_space
from lorajax.library.store import Library
from lorajax.library.store.leaving import PLACED
from lorajax.library.vectors import search

# Copies take places in a ranking: this many times k are looked at first, and some more.
_TIMES, _MORE = 3, 32
_AT_ONCE = 500  # keys in a statement

Pair = tuple[str, float | None]  # content key and similarity


@dataclass(frozen=True, slots=True)
class Ranking:
    """Groups, best first.

    Attributes:
      searched: how many LoRAs they are the best of.
      note: what a person should know of the search; "" where all is as it should be.
    """

    groups: list[Group]
    searched: int
    note: str = ""


def rank_by_likeness(
    library: Library,
    space: str,
    vector: Float[np.ndarray, " e"],
    k: int,
    filters: Filters,
    own: Collection[str] = (),
    group: bool = True,
) -> Ranking:
    """The nearest LoRAs of a vector of a space, of those that fit.

    Args:
      own: content keys of the LoRAs of the query, which are left out.
      group: whether copies of one update share a place.

    Raises:
      LibraryError: where the space is empty, and for filters that cannot be read.
    """
    matrix = open_space(library, space)
    allowed = allowed_ids(library, space, filters) if filters else None
    mask = None if allowed is None else matrix.mask(allowed)
    among = len(matrix) if mask is None else int(mask.sum())
    itself = _ids(library, space, own)
    itself = itself if mask is None else itself[np.isin(itself, matrix.ids[mask])]
    notes: set[str] = set()

    def first(count: int) -> list[Pair]:
        found = search(matrix, vector[None], count + len(itself), mask)
        notes.add(found.note)
        pairs = zip(found.ids[0].tolist(), found.similarity[0].tolist(), strict=True)
        others = [pair for pair in pairs if pair[0] not in itself]
        return _keyed(library, others[:count])

    groups = _grouped(library, first, k, group)
    return Ranking(groups, among - len(itself), " ".join(filter(None, notes)))


def rank_by_words(
    library: Library, k: int, filters: Filters, group: bool = True
) -> Ranking:
    """The LoRAs that fit, those first that have the words in better places.

    Raises:
      LibraryError: for filters that cannot be read.
    """
    keys = listed(library, filters)

    def first(count: int) -> list[Pair]:
        return [(key, None) for key in keys[:count]]

    return Ranking(_grouped(library, first, k, group), len(keys))


def _grouped(
    library: Library, first: Callable[[int], list[Pair]], k: int, group: bool
) -> list[Group]:
    """The first k groups of a ranking of which any beginning can be asked for."""
    if not group:
        return [Group(candidate) for candidate in _described(library, first(k))]
    count = k * _TIMES + _MORE
    while True:
        pairs = first(count)
        groups = fold(_described(library, pairs), k)
        if len(groups) == k or len(pairs) < count:
            return groups
        count *= 4


def _ids(library: Library, space: str, keys: Collection[str]) -> Int[np.ndarray, " a"]:
    statement = f"SELECT id FROM vectors WHERE space = ? AND key IN ({_marks(keys)})"
    rows = library.query(statement, space, *keys)
    return np.array([id_ for (id_,) in rows], np.int64)


def _keyed(library: Library, pairs: Sequence[tuple[int, float]]) -> list[Pair]:
    """Content keys in place of ids of vectors."""
    keys: dict[int, str] = {}
    for some in _batches(pairs):
        ids = [id_ for id_, _ in some]
        statement = f"SELECT id, key FROM vectors WHERE id IN ({_marks(ids)})"
        keys |= dict(library.query(statement, *ids))
    return [(keys[id_], similarity) for id_, similarity in pairs if id_ in keys]


def _described(library: Library, pairs: Sequence[Pair]) -> Iterator[Candidate]:
    """What folding needs to know of LoRAs, in their order."""
    for some in _batches(pairs):
        keys = [key for key, _ in some]
        rows = library.query(
            "SELECT key, base_model, fingerprint FROM loras "
            f"WHERE key IN ({_marks(keys)}) AND {PLACED}",
            *keys,
        )
        facts = {row[0]: row for row in rows}
        for key, similarity in some:
            if key in facts:
                _, base_model, fingerprint = facts[key]
                yield Candidate(key, base_model, fingerprint, similarity)


def _batches(items: Sequence) -> Iterator[Sequence]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]


def _marks(values: Collection) -> str:
    return ", ".join("?" * len(values))
