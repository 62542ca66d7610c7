"""What a LoRA is said to be: labels, each with who says it.

A label is a field (`category`, `style`, a free one) with a value. Sources are trusted
in the order of `SOURCES`: what a person says wins, and an empty value of a person says
that nothing of that field holds. What a person changes is kept in a journal and can be
undone; what is derived or computed can be had again.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass

from lorajax.errors import LibraryError
from lorajax.formats.text import clean, plain
from lorajax.library.store import Library

PERSON, SIDECAR, FOLDER, CLASSIFIED, CLUSTER = (
    *("person", "sidecar", "folder", "classified", "cluster"),
)
SOURCES = (PERSON, SIDECAR, FOLDER, CLASSIFIED, CLUSTER)
# A LoRA has any number of tags, but in other fields one source wins.
TAG = "tag"
LONGEST_VALUE = 200
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,31}")
_JOURNAL, _KEPT_CHANGES = "labels:journal", 50
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


@dataclass(frozen=True, slots=True)
class Change:
    """What a person changed: rows that went and rows that came."""

    removed: tuple[Label, ...] = ()
    added: tuple[Label, ...] = ()


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


def fields_of(library: Library) -> list[str]:
    """The fields that any LoRA has a label in, without the clusters' own."""
    rows = library.query(
        "SELECT DISTINCT field FROM labels WHERE source != ? ORDER BY field", CLUSTER
    )
    return [field for (field,) in rows]


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


def change_labels(
    library: Library,
    keys: Sequence[str],
    say: Sequence[tuple[str, str]] = (),
    unsay: Sequence[tuple[str, str | None]] = (),
) -> Change:
    """Writes down what a person says of LoRAs, and keeps it in the journal.

    Args:
      say: (field, value); a field's former words of a person go, but tags are added.
      unsay: (field, value) whose words of a person go; no value is all of the field.

    Raises:
      LibraryError: for a field or value that cannot be a label.
    """
    said = [(field, check_value(field, value)) for field, value in say]
    gone = [(check_field(field), value) for field, value in unsay]
    return _change(library, {key: said for key in keys}, gone)


def change_each(
    library: Library, says: Mapping[str, Sequence[tuple[str, str]]]
) -> Change:
    """`change_labels` with other words for each LoRA; one undo takes all of it back."""
    checked = {
        key: [(field, check_value(field, value)) for field, value in said]
        for key, said in says.items()
    }
    return _change(library, checked, ())


def undo(library: Library) -> Change | None:
    """Takes back the last change of a person; None where there is none.

    Returns:
      What was done now: the opposite of that change.
    """
    with library.transaction():
        *earlier, last = [None, *_read_journal(library)]
        if last is None:
            return None
        known = {key for (key,) in library.query("SELECT key FROM loras")}
        back = tuple(one for one in last.removed if one.key in known)
        change = Change(last.added, back)
        _apply(library, change)
        _journal(library, [one for one in earlier if one is not None])
    return change


def check_field(field: str) -> str:
    """The name of a field that people may fill.

    Raises:
      LibraryError: for any other.
    """
    if not _FIELD.fullmatch(field) or field == CLUSTER:
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


def _change(
    library: Library,
    says: Mapping[str, Sequence[tuple[str, str]]],
    unsay: Sequence[tuple[str, str | None]],
) -> Change:
    with library.transaction():
        now = [one for one in read_labels(library, keys=set(says)) if _persons(one)]
        coming = {Label(key, *pair) for key, said in says.items() for pair in said}
        filled = {(one.key, one.field) for one in coming if one.field != TAG}
        going = {
            one for one in now if (one.key, one.field) in filled or _meant(one, unsay)
        }
        change = Change(_ordered(going - coming), _ordered(coming - set(now)))
        _apply(library, change)
        if change != Change():
            _journal(library, [*_read_journal(library), change])
    return change


def _held(field: str, group: list[Label]) -> tuple[Label, ...]:
    sure = [one for one in group if field != TAG or one.source != CLASSIFIED]
    if any(_persons(one) and not one.value for one in group):
        return ()
    if field == TAG:
        return tuple({one.value: one for one in sorted(sure, key=_untrust)}.values())
    best = min(map(_trust, sure))
    return tuple(one for one in sure if _trust(one) == best)


def _persons(label: Label) -> bool:
    return label.source == PERSON


def _trust(label: Label) -> int:
    return SOURCES.index(label.source)


def _untrust(label: Label) -> tuple[int, str]:
    return -_trust(label), label.value


def _meant(label: Label, gone: Sequence[tuple[str, str | None]]) -> bool:
    return any(f == label.field and v in (None, label.value) for f, v in gone)


def _ordered(labels: Iterable[Label]) -> tuple[Label, ...]:
    return tuple(sorted(labels, key=astuple))


def _apply(library: Library, change: Change) -> None:
    library.execute_many(
        "DELETE FROM labels WHERE key = ? AND field = ? AND value = ? AND source = ?",
        [astuple(label)[:4] for label in change.removed],
    )
    write_labels(library, change.added)


def _read_journal(library: Library) -> list[Change]:
    changes = json.loads(library.get_meta(_JOURNAL) or "[]")
    return [
        Change(*(tuple(Label(*row) for row in rows) for rows in change))
        for change in changes
    ]


def _journal(library: Library, changes: Sequence[Change]) -> None:
    rows = [
        [[astuple(one) for one in rows] for rows in (change.removed, change.added)]
        for change in changes[-_KEPT_CHANGES:]
    ]
    library.set_meta(_JOURNAL, json.dumps(rows, ensure_ascii=False))
