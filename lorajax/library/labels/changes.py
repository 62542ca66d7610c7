"""What a person changes of labels: kept in a journal, so that it can be undone."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass

from lorajax.library.labels.label import (
    TAG,
    Label,
    check_field,
    check_value,
    is_persons,
    read_labels,
    write_labels,
)
from lorajax.library.store import Library

_JOURNAL, _KEPT_CHANGES = "labels:journal", 50


@dataclass(frozen=True, slots=True)
class Change:
    """What a person changed: rows that went and rows that came."""

    removed: tuple[Label, ...] = ()
    added: tuple[Label, ...] = ()


def change_labels(
    library: Library,
    keys: Sequence[str],
    say: Sequence[tuple[str, str]] = (),
    unsay: Sequence[tuple[str, str | None]] = (),
) -> Change:
    """Writes down what a person says of LoRAs, and keeps it in the journal.

    Args:
      say: (field, value); a field's former words of a person go, but tags are added,
        in place of a person's word that there are none.
      unsay: (field, value) whose words of a person go; no value is all of the field.

    Raises:
      LibraryError: for a field or value that cannot be a label.
    """
    said = [(field, check_value(field, value)) for field, value in say]
    gone = [
        (check_field(field), None if value is None else check_value(field, value))
        for field, value in unsay
    ]
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
        change = Change(last.added, last.removed)
        _apply(library, change)
        _journal(library, [one for one in earlier if one is not None])
    return change


def _change(
    library: Library,
    says: Mapping[str, Sequence[tuple[str, str]]],
    unsay: Sequence[tuple[str, str | None]],
) -> Change:
    with library.transaction():
        now = [one for one in read_labels(library, keys=set(says)) if is_persons(one)]
        coming = {Label(key, *pair) for key, said in says.items() for pair in said}
        said_of: dict[tuple[str, str], list[Label]] = {}
        for one in coming:
            said_of.setdefault((one.key, one.field), []).append(one)
        going = {
            one
            for one in now
            if any(_replaces(new, one) for new in said_of.get((one.key, one.field), ()))
            or _meant(one, unsay)
        }
        change = Change(_ordered(going - coming), _ordered(coming - set(now)))
        _apply(library, change)
        if change != Change():
            _journal(library, [*_read_journal(library), change])
    return change


def _replaces(new: Label, old: Label) -> bool:
    """Whether a new word of a field makes an old one go: tags stand beside tags."""
    return new.field != TAG or bool(new.value) != bool(old.value)


def _meant(label: Label, gone: Sequence[tuple[str, str | None]]) -> bool:
    return any(f == label.field and v in (None, label.value) for f, v in gone)


def _ordered(labels: Iterable[Label]) -> tuple[Label, ...]:
    return tuple(sorted(labels, key=astuple))


def _apply(library: Library, change: Change) -> None:
    """Changes what holds, and what is kept of LoRAs that went for when they return."""
    known = {key for (key,) in library.query("SELECT key FROM loras")}
    for table in ("labels", "kept_labels"):
        library.execute_many(
            f"DELETE FROM {table}"
            " WHERE key = ? AND field = ? AND value = ? AND source = ?",
            [astuple(label)[:4] for label in change.removed],
        )
    write_labels(library, [one for one in change.added if one.key in known])
    library.execute_many(
        "INSERT OR REPLACE INTO kept_labels VALUES (?,?,?,?,?)",
        [astuple(label) for label in change.added if label.key not in known],
    )


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
