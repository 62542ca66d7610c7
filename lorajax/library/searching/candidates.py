"""The LoRAs that may be found: ids of their vectors, or a list ranked by words."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from lorajax.library.searching.clause import Clause, every
from lorajax.library.searching.conditions import parse_conditions, tag_clause
from lorajax.library.searching.words import RANKED, match_of, text_clause
from lorajax.library.store.database import Database
from lorajax.library.store.leaving import ALL_PLACED

_ALLOWED = """
SELECT vectors.id FROM vectors JOIN loras USING (key) WHERE space = ? AND {fits}
"""
_LISTED = f"""
SELECT loras.key FROM loras {{scores}} WHERE {{fits}} AND {ALL_PLACED}
ORDER BY {{order}} loras.name, loras.key
"""
_SCORES = f"""
JOIN (SELECT rowid AS id, {RANKED} AS score FROM texts WHERE texts MATCH ?) AS found
USING (id)
"""


@dataclass(frozen=True, slots=True)
class Filters:
    """What a LoRA must fit to be found.

    Attributes:
      where: conditions, as `parse_conditions` reads them.
      text: words and quoted text; a list is ranked by them.
      tags: all of which it has.
    """

    where: str = ""
    text: str = ""
    tags: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.where or self.text or self.tags)


def allowed_ids(
    database: Database, space: str, filters: Filters
) -> Int[np.ndarray, " a"]:
    """The ids of the vectors of a space whose LoRAs fit.

    Raises:
      LibraryError: for filters that cannot be read.
    """
    fits = _fits(database, filters)
    statement = _ALLOWED.format(fits=fits.sql)
    rows = database.query(statement, space, *fits.values)
    return np.array([id_ for (id_,) in rows], np.int64)


def listed(database: Database, filters: Filters) -> list[str]:
    """The content keys of LoRAs that fit: best words first, then by name.

    Raises:
      LibraryError: for filters that cannot be read.
    """
    fits = _fits(database, filters)
    match = match_of(filters.text) if filters.text else ""
    statement = _LISTED.format(
        scores=_SCORES if match else "",
        fits=fits.sql,
        order="score," if match else "",
    )
    rows = database.query(statement, *filter(None, [match]), *fits.values)
    return [key for (key,) in rows]


def _fits(database: Database, filters: Filters) -> Clause:
    return every(_clauses(database, filters))


def _clauses(database: Database, filters: Filters) -> Iterator[Clause]:
    if filters.where:
        yield parse_conditions(database, filters.where)
    if filters.text:
        yield text_clause(filters.text)
    for tag in filters.tags:
        yield tag_clause(tag)
