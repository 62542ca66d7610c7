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

# Every change is a note of its own: a large one is not written again with the next.
_CHANGE, _KEPT_CHANGES = "labels:change:", 50
_CHANGES = "SELECT key, value FROM meta WHERE key LIKE ? || '%' ORDER BY key DESC"


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
        rows = library.query(f"{_CHANGES} LIMIT 1", _CHANGE)
        for key, text in rows:
            done = _change_of(text)
            change = Change(done.added, done.removed)
            _apply(library, change)
            library.execute("DELETE FROM meta WHERE key = ?", key)
            return change
    return None


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
            _remember(library, change)
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
    keys = {label.key for label in change.added}
    here = "SELECT 1 FROM loras WHERE key = ?"
    gone = {key for key in keys if not library.query(here, key)}
    for table in ("labels", "kept_labels"):
        library.execute_many(
            f"DELETE FROM {table}"
            " WHERE key = ? AND field = ? AND value = ? AND source = ?",
            [astuple(label)[:4] for label in change.removed],
        )
    write_labels(library, [one for one in change.added if one.key not in gone])
    library.execute_many(
        "INSERT OR REPLACE INTO kept_labels VALUES (?,?,?,?,?)",
        [astuple(one) for one in change.added if one.key in gone],
    )


def _remember(library: Library, change: Change) -> None:
    """Writes a change into the journal, and lets the oldest ones go."""
    rows = library.query(f"{_CHANGES} LIMIT 1", _CHANGE)
    number = int(rows[0][0].removeprefix(_CHANGE)) + 1 if rows else 0
    text = json.dumps(
        [[astuple(one) for one in rows] for rows in (change.removed, change.added)],
        ensure_ascii=False,
    )
    library.set_meta(f"{_CHANGE}{number:012d}", text)
    oldest = f"{_CHANGE}{max(0, number - _KEPT_CHANGES + 1):012d}"
    library.execute("DELETE FROM meta WHERE key >= ? AND key < ?", _CHANGE, oldest)


def _change_of(text: str) -> Change:
    return Change(*(tuple(Label(*row) for row in rows) for rows in json.loads(text)))
