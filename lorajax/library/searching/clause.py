"""A part of a WHERE clause with the values it binds: what a person wrote is a value."""

from collections.abc import Iterable
from typing import Any, NamedTuple


class Clause(NamedTuple):
    """SQL over a row of `loras`, true for the LoRAs that are meant."""

    sql: str
    values: tuple[Any, ...] = ()


def every(clauses: Iterable[Clause]) -> Clause:
    """True where all of them are; of none it is true."""
    return _joined(list(clauses), " AND ", "1")


def some(clauses: Iterable[Clause]) -> Clause:
    """True where one of them is; of none it is false."""
    return _joined(list(clauses), " OR ", "0")


def negated(clause: Clause) -> Clause:
    return Clause(f"NOT {clause.sql}", clause.values)


def contains(text: str) -> str:
    """A pattern for `LIKE ? ESCAPE '\\'` that finds this text anywhere."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _joined(clauses: list[Clause], word: str, nothing: str) -> Clause:
    if not clauses:
        return Clause(nothing)
    sql = word.join(clause.sql for clause in clauses)
    values = tuple(value for clause in clauses for value in clause.values)
    return Clause(f"({sql})", values)
