"""Searching a library: by LoRAs, words, tags and conditions, alone or together.

Entries of the library need neither jax nor a model; a file that it does not know is
read and embedded first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from lorajax.errors import LibraryError, LorajaxError
from lorajax.library import Library
from lorajax.library.labels import effective, read_labels
from lorajax.library.searching import (
    Filters,
    Group,
    direction,
    mean,
    rank_by_likeness,
    rank_by_words,
)
from lorajax.service.likeness.given import Given, given, one_space

if TYPE_CHECKING:
    from lorajax.service.likeness.explaining import Explanation


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for.

    Attributes:
      like: content keys, names, parts of names or paths; several are looked for in the
        middle of them. With none the LoRAs that fit are listed.
      unlike: the same, of LoRAs to stay away from.
      where: conditions, as `base=sdxl rank<=32 tag=ink`.
      text: words, or "words as they stand" in quotes.
      tags: all of which a LoRA must have.
      group: whether copies of one update share a place.
      why: how many of the first matches are explained, which reads their files.
    """

    like: tuple[str | Path, ...] = ()
    unlike: tuple[str | Path, ...] = ()
    where: str = ""
    text: str = ""
    tags: tuple[str, ...] = ()
    k: int = 10
    group: bool = True
    why: int = 0


@dataclass(frozen=True, slots=True)
class Hit:
    """One LoRA that was found.

    Attributes:
      similarity: cosine with what was looked for; None where no LoRA was given.
      to_like, to_unlike: cosines with the two sides of a query that has both.
      also_at: where it lies besides, with the places of its copies.
      copies: names of other LoRAs of the library that are the same update.
      labels: field → the values that hold.
      why: how modules make up the likeness to the nearest LoRA of the query.
    """

    rank: int
    key: str
    name: str
    path: str
    similarity: float | None
    tier: str
    base_model: str
    missing: bool = False
    to_like: float | None = None
    to_unlike: float | None = None
    also_at: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    why: "Explanation | None" = None


@dataclass(frozen=True, slots=True)
class Results:
    """What was found, best first.

    Attributes:
      query: what was looked for, in words.
      space: in which LoRAs were compared; None where none was given.
      searched: how many LoRAs fit, those of the query apart.
      notes: what a person should know besides.
    """

    query: str
    space: str | None
    searched: int
    matches: tuple[Hit, ...]
    notes: tuple[str, ...] = ()


def search(path: Path | None, query: Query, model: Path | None = None) -> Results:
    """The LoRAs that a query asks for.

    Args:
      path: the library file; None is the user's own.
      model: the bundle whose space is searched; None is the library's own.

    Raises:
      LorajaxError: where a LoRA of the query has no vector or several spaces would be
        needed, for conditions that cannot be read, and where nothing is asked.
    """
    filters = Filters(query.where, query.text, query.tags)
    if not (query.like or query.unlike or filters):
        raise LibraryError(
            "expected something to look for, found nothing",
            "give a LoRA, or --text, --tag or --where",
        )
    if not query.like and (query.unlike or query.why):
        raise LibraryError(
            "expected a LoRA to compare with, found none",
            "name one to be like: --unlike and --why need it",
        )
    with Library.open(path, create=False) as library:
        if not query.like:
            ranking = rank_by_words(library, query.k, filters, query.group)
            hits = tuple(_hits(library, ranking.groups))
            return Results(_in_words(query), None, ranking.searched, hits)
        like = [given(library, name, model) for name in query.like]
        unlike = [given(library, name, model) for name in query.unlike]
        results = _search(library, query, filters, like, unlike)
        if not query.why:
            return results
        nearest = [
            _nearest_given(library, results, hit, like) for hit in results.matches
        ]
    return _with_reasons(path, results, nearest, query.why, model)


def _search(
    library: Library,
    query: Query,
    filters: Filters,
    like: Sequence[Given],
    unlike: Sequence[Given],
) -> Results:
    space = one_space([*like, *unlike])
    wanted, away = [lora.vector for lora in like], [lora.vector for lora in unlike]
    ranking = rank_by_likeness(
        library,
        space,
        direction(wanted, away),
        query.k,
        filters,
        own={lora.key for lora in (*like, *unlike)},
        group=query.group,
    )
    hits = _hits(library, ranking.groups)
    if away:
        sides = mean(wanted), mean(away)
        hits = [_with_sides(library, space, hit, *sides) for hit in hits]
    words = _in_words(query, like, unlike)
    notes = (ranking.note,) if ranking.note else ()
    return Results(words, space, ranking.searched, tuple(hits), notes)


def _hits(library: Library, groups: Sequence[Group]) -> list[Hit]:
    hits = [_hit(library, rank, group) for rank, group in enumerate(groups, 1)]
    return [hit for hit in hits if hit is not None]


def _hit(library: Library, rank: int, group: Group) -> Hit | None:
    entry = library.entry(group.best.key)
    if entry is None:
        return None
    same = [library.entry(candidate.key) for candidate in group.same]
    copies = [other for other in same if other is not None]
    return Hit(
        rank,
        entry.key,
        entry.name,
        entry.path,
        group.best.similarity,
        entry.facts.tier,
        entry.facts.base_model,
        entry.missing,
        also_at=(*entry.paths[1:], *(path for copy in copies for path in copy.paths)),
        copies=tuple(copy.name for copy in copies),
        labels=_labels(library, entry.key),
    )


def _labels(library: Library, key: str) -> dict[str, tuple[str, ...]]:
    held = effective(read_labels(library, keys=[key], computed=True))
    return {name: tuple(one.value for one in ones) for (_, name), ones in held.items()}


def _with_sides(
    library: Library,
    space: str,
    hit: Hit,
    like: Float[np.ndarray, " e"],
    unlike: Float[np.ndarray, " e"],
) -> Hit:
    vector = mean([library.vector(space, hit.key)])
    return replace(hit, to_like=float(vector @ like), to_unlike=float(vector @ unlike))


def _nearest_given(
    library: Library, results: Results, hit: Hit, like: Sequence[Given]
) -> Given:
    """The LoRA of the query that a match is nearest to."""
    vector = library.vector(str(results.space), hit.key)
    return max(like, key=lambda lora: float(mean([lora.vector]) @ vector))


def _with_reasons(
    path: Path | None,
    results: Results,
    nearest: Sequence[Given],
    count: int,
    model: Path | None,
) -> Results:
    """Results whose first matches say why; where that fails a note says so."""
    from lorajax.service.likeness.explaining import explain

    hits, notes = list(results.matches), list(results.notes)
    for place, hit in enumerate(hits[:count]):
        try:
            source = nearest[place].source
            why = explain(path, source, hit.key, model, results.space)
            hits[place] = replace(hit, why=why)
        except LorajaxError as error:
            notes.append(f"why {hit.name}: {error}")
    return replace(results, matches=tuple(hits), notes=tuple(notes))


def _in_words(
    query: Query, like: Sequence[Given] = (), unlike: Sequence[Given] = ()
) -> str:
    """What was looked for, as a person would say it; of one LoRA it is its name."""
    if like:
        names = ", ".join(lora.name for lora in like)
        others = ", ".join(lora.name for lora in unlike)
        return f"{names} but not {others}" if others else names
    tags = (f"tag={tag}" for tag in query.tags)
    return " ".join(filter(None, (query.text, *tags, query.where)))
