"""What a LoRA is said to be: labels, each with who says it.

A label is a field (`category`, `style`, a free one) with a value. Sources are trusted
in the order of `SOURCES`: what a person says wins, and an empty value of a person says
that nothing of that field holds. What a person changes is kept in a journal and can be
undone; what is derived or computed can be had again.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import astuple, dataclass

from lorajax.errors import LibraryError
from lorajax.formats.text import clean, plain
from lorajax.library.entry import PERSON, SIDECAR
from lorajax.library.store import Library

FOLDER, CLASSIFIED, CLUSTER = "folder", "classified", "cluster"
SOURCES = (PERSON, SIDECAR, FOLDER, CLASSIFIED, CLUSTER)
# A LoRA has any number of tags, but in other fields one source wins.
TAG = "tag"
LONGEST_VALUE = 200
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,31}")
_COLUMNS = "key, field, value, source, confidence"


@dataclass(frozen=True, slots=True)
class Label:
    """One word about one LoRA.

    Attributes:
      key: the content key of the LoRA.
      source: one of `SOURCES`.
      confidence: a probability, where the source gives one.
    """

    key: str
    field: str
    value: str
    source: str = PERSON
    confidence: float | None = None


def read_labels(
    library: Library,
    field: str | None = None,
    keys: Collection[str] | None = None,
    computed: bool = False,
) -> list[Label]:
    """Labels by key, field and trust.

    Args:
      field, keys: only these; None is all.
      computed: whether the numbers of clusters are wanted too.
    """
    wanted, values = ["1"], []
    if field is not None:
        wanted.append("field = ?")
        values.append(field)
    if keys is not None and len(keys) == 1:
        wanted.append("key = ?")
        values.extend(keys)
    condition = " AND ".join(wanted)
    rows = library.query(f"SELECT {_COLUMNS} FROM labels WHERE {condition}", *values)
    found = [
        Label(*row)
        for row in rows
        if (keys is None or row[0] in keys) and (computed or row[3] != CLUSTER)
    ]
    return sorted(found, key=lambda one: (one.key, one.field, _trust(one), one.value))


def effective(labels: Iterable[Label]) -> dict[tuple[str, str], tuple[Label, ...]]:
    """(key, field) → what holds: the most trusted source's words; all tags.

    A person's empty value silences every other source and holds nothing itself.
    """
    groups: dict[tuple[str, str], list[Label]] = {}
    for label in labels:
        groups.setdefault((label.key, label.field), []).append(label)
    held = {place: _held(place[1], group) for place, group in groups.items()}
    return {place: found for place, found in held.items() if found}


def values_of(
    library: Library, field: str, sources: Collection[str] = (PERSON, SIDECAR, FOLDER)
) -> dict[str, str]:
    """Key → its one value of a field, by sources that did not guess.

    A LoRA of which the most trusted source says two things is left out.
    """
    said = [one for one in read_labels(library, field) if one.source in sources]
    held = effective(said)
    return {key: found[0].value for (key, _), found in held.items() if len(found) == 1}


def write_labels(library: Library, labels: Iterable[Label]) -> None:
    """Stores labels, in place of equal ones of the same source; no journal."""
    rows = [astuple(label) for label in labels]
    with library.transaction():
        library.execute_many("INSERT OR REPLACE INTO labels VALUES (?,?,?,?,?)", rows)


def drop_labels(library: Library, source: str, fields: Sequence[str] = ()) -> None:
    """Forgets what a source says, in some fields or in all; no journal."""
    chosen = f"AND field IN ({', '.join('?' * len(fields))})" if fields else ""
    with library.transaction():
        library.execute(
            f"DELETE FROM labels WHERE source = ? {chosen}", source, *fields
        )


def is_field(name: str) -> bool:
    """Whether people may fill a field of this name."""
    return bool(_FIELD.fullmatch(name)) and name != CLUSTER


def check_field(field: str) -> str:
    """The name of a field that people may fill.

    Raises:
      LibraryError: for any other.
    """
    if not is_field(field):
        raise LibraryError(
            f"expected the name of a field such as category, style or base_variant, "
            f"found {clean(field, 60)!r}",
            "small letters, digits and _; 'cluster' is taken",
        )
    return field


def check_value(field: str, value: str) -> str:
    """A value as it may be stored and shown; "" says that nothing holds.

    Raises:
      LibraryError: for a field that is none.
    """
    check_field(field)
    value = plain(value, LONGEST_VALUE)
    return value.casefold() if field == TAG else value


def is_persons(label: Label) -> bool:
    """Whether a person said it."""
    return label.source == PERSON


def _held(field: str, group: list[Label]) -> tuple[Label, ...]:
    sure = [one for one in group if field != TAG or one.source != CLASSIFIED]
    if any(is_persons(one) and not one.value for one in group):
        return ()
    if field == TAG:
        return tuple({one.value: one for one in sorted(sure, key=_untrust)}.values())
    best = min(map(_trust, sure))
    return tuple(one for one in sure if _trust(one) == best)


def _trust(label: Label) -> int:
    """Its place among the sources; one that only a newer lorajax knows comes last."""
    known = label.source in SOURCES
    return SOURCES.index(label.source) if known else len(SOURCES)


def _untrust(label: Label) -> tuple[int, str]:
    return -_trust(label), label.value
