"""Conditions that a person writes: `base=sdxl rank<=32 tag=ink,pen family=lora`.

All of them must hold; values parted by commas are alternatives, and quotes hold a value
with blanks together. Keys and operators are looked up in the table below and values are
only ever bound, so that whatever is written stays a condition.
"""

import difflib
import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from lorajax.errors import LibraryError
from lorajax.library.labels.holding import HOLDS
from lorajax.library.searching.clause import Clause, contains, every, negated, some
from lorajax.library.searching.words import is_text, text_clause
from lorajax.library.store.database import Database
from lorajax.naming.bases import BASE_MODELS

_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s,"'][^\s,]*)"""
_CONDITION = re.compile(
    rf"""([^\s=<>!~,"']+)\s*(<=|>=|!=|=|<|>|~)\s*({_VALUE}(?:,{_VALUE})*)(?=\s|$)"""
)
_TIERS = ("exact", "direction", "operator", "opaque")
_LABEL = "label."
_PRESENT = "EXISTS (SELECT 1 FROM paths WHERE paths.key = loras.key AND NOT missing)"
_TAGGED = f"""(
EXISTS (SELECT 1 FROM json_each(loras.tags) WHERE value {{how}}) OR
EXISTS (SELECT 1 FROM labels WHERE labels.key = loras.key AND field = 'tag'
        AND value {{how}} AND {HOLDS}))"""
_LABELLED = f"""EXISTS (SELECT 1 FROM labels WHERE labels.key = loras.key
AND field = ? AND value {{how}} AND {HOLDS})"""
_PLACED = "EXISTS (SELECT 1 FROM paths WHERE paths.key = loras.key AND path {how})"
_IS, _HAS = "= ? COLLATE NOCASE", "LIKE ? ESCAPE '\\'"

Translate = Callable[[str, str], Clause]


@dataclass(frozen=True)
class Key:
    """What may be asked about.

    Attributes:
      operators: that make sense for it.
      means: for people.
      translate: an operator (never `!=`) and a value → SQL.
      choices: SQL of the values that the library has; "" where any value goes.
      parted: what parts several values in one, as families are parted in `lora+loha`.
      known: values that exist although the library may have none of them.
    """

    operators: tuple[str, ...]
    means: str
    translate: Translate
    choices: str = ""
    parted: str = ""
    known: tuple[str, ...] = ()


def _choice(column: str, means: str, parted: str = "", known: tuple = ()) -> Key:
    """A column of a few values; one that is several at once is each of them."""
    each = f"instr('{parted}' || lower({column}) || '{parted}', lower(?)) > 0"

    def translate(_: str, value: str) -> Clause:
        if not parted:
            return Clause(f"{column} {_IS}", (value,))
        return Clause(each, (f"{parted}{value}{parted}",))

    choices = f"SELECT DISTINCT {column} FROM loras"
    return Key(("=", "!="), means, translate, choices, parted, known)


def _number(column: str, means: str) -> Key:
    def translate(operator: str, value: str) -> Clause:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise LibraryError(f"expected a number after {operator}, found {value!r}")
        return Clause(f"{column} {operator} ?", (number,))

    return Key(("=", "!=", "<", "<=", ">", ">="), means, translate)


def _words(sql: str, means: str) -> Key:
    def translate(operator: str, value: str) -> Clause:
        if operator == "~":
            return Clause(sql.format(how=_HAS), (contains(value),) * sql.count("{how}"))
        return Clause(sql.format(how=_IS), (value,) * sql.count("{how}"))

    return Key(("=", "!=", "~"), means, translate)


def _label(field: str) -> Key:
    plain = _words(_LABELLED, f"the label {field}")

    def translate(operator: str, value: str) -> Clause:
        sql, values = plain.translate(operator, value)
        return Clause(sql, (field, *values))

    return Key(plain.operators, plain.means, translate)


def _missing(_: str, value: str) -> Clause:
    answers = {"yes": f"NOT {_PRESENT}", "no": _PRESENT}
    if value.lower() not in answers:
        raise LibraryError(f"missing: expected yes or no, found {value!r}")
    return Clause(answers[value.lower()])


KEYS: dict[str, Key] = {
    "base": _choice("base_model", "base model", known=BASE_MODELS),
    "family": _choice("family", "kind of update: lora, loha, …", "+"),
    "tier": _choice("tier", "how much the file tells", known=_TIERS),
    "format": _choice("format", "the trainer's dialect"),
    "dtype": _choice("dtype", "number format, as F16", ", "),
    "rank": _number("rank_max", "largest rank of a module"),
    "norm": _number("norm", "length of the update"),
    "modules": _number("modules_mapped", "modules that it changes"),
    "name": _words("name {how}", "name; ~ for a part of it"),
    "path": _words(_PLACED, "where a file of it lies; ~ for a part"),
    "tag": _words(_TAGGED, "a tag, whoever gave it"),
    "text": Key(("=", "!="), "words anywhere", lambda _, value: text_clause(value)),
    "missing": Key(("=", "!="), "yes: its files are gone", _missing),
}


def parse_conditions(database: Database, text: str) -> Clause:
    """The SQL of conditions.

    Args:
      database: the library, which knows its labels, families and formats.

    Raises:
      LibraryError: for what is no condition, an unknown key or value, naming the
        choices.
    """
    clauses: list[Clause] = []
    place = 0
    while rest := text[place:].strip():
        start = len(text) - len(text[place:].lstrip())
        found = _CONDITION.match(text, start)
        if found is None or not is_text(text):
            raise LibraryError(
                f"expected a condition as base=sdxl or rank<=32, found {rest[:40]!r}",
                f"keys: {', '.join(KEYS)} and fields of labels; words alone go into "
                "--text",
            )
        clauses.append(_condition(database, *found.groups()))
        place = found.end()
    return every(clauses)


def tag_clause(tag: str) -> Clause:
    """True of LoRAs that have a tag."""
    return KEYS["tag"].translate("=", tag)


def did_you_mean(
    word: str, choices: Collection[str], besides: Collection[str] = ()
) -> str:
    """A hint that names the nearest choice, and all that are there.

    Args:
      besides: choices that may have been meant without being there.
    """
    near = difflib.get_close_matches(word.lower(), {*choices, *besides}, n=1)
    nearest = f"did you mean {near[0]}? " if near else ""
    return f"{nearest}there are: {', '.join(sorted(choices)) or 'none'}"


def _condition(database: Database, name: str, operator: str, values: str) -> Clause:
    key = _key(database, name)
    if operator not in key.operators:
        raise LibraryError(
            f"{name}: expected one of {' '.join(key.operators)}, found {operator}"
        )
    words = [_unquoted(word) for word in re.findall(_VALUE, values)]
    if key.choices:
        _check(database, name, key, words)
    how = "=" if operator == "!=" else operator
    clause = some(key.translate(how, word) for word in words)
    return negated(clause) if operator == "!=" else clause


def _key(database: Database, name: str) -> Key:
    if name.startswith(_LABEL):
        return _label(name.removeprefix(_LABEL))
    if name.lower() in KEYS:
        return KEYS[name.lower()]
    rows = database.query("SELECT DISTINCT field FROM labels")
    fields = {field for (field,) in rows}
    if name in fields:
        return _label(name)
    raise LibraryError(
        f"expected a key to search by, found {name!r}",
        did_you_mean(name, {*KEYS, *fields}),
    )


def _check(database: Database, name: str, key: Key, words: list[str]) -> None:
    """Refuses values that no LoRA has, rather than finding nothing in silence."""
    rows = [row[0] for row in database.query(key.choices)]
    there = {
        part
        for row in rows
        for part in (row.split(key.parted) if key.parted else [row])
    }
    known = {value.lower() for value in (*there, *key.known)}
    for word in words:
        if word.lower() not in known:
            raise LibraryError(
                f"no LoRA of the library has {name}={word}",
                did_you_mean(word, there or key.known, key.known),
            )


def _unquoted(word: str) -> str:
    return word[1:-1] if word[:1] in ("'", '"') else word
