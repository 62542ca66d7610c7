"""The groups of duplicates, or what belongs together: one a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from lorajax_tui.themes import colours
from lorajax_tui.words import fitted, safe, size

if TYPE_CHECKING:
    from lorajax.service.likeness.duplicates import Group, Relation

# More lines than anybody looks through; the plan has all of them.
MOST = 1000
SHORT = {
    "file": "same file",
    "weights": "same weights",
    "update": "same update",
    "scaled": "scaled",
    "merged": "a merge",
    "resized": "resized",
    "near": "nearly the same",
    "epochs": "epochs of a run",
    "noise pair": "noise pair",
}
_COLOURS = {1: "success", 2: "success", 3: "primary", 4: "accent", 5: "warning"}
# What all columns but the name take, and the least that a name is given.
_OTHERS, _LEAST = 42, 16
_WHY, _SIZE = 15, 9


class FoundTable(DataTable[Text]):
    """What was found, a group a line, those that free most first at every level."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Files"),
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("left", "screen.level(-1)", "Level before", show=False),
        Binding("right", "screen.level(1)", "Next level", show=False),
    ]

    def __init__(self, **options: Any) -> None:
        looks = {"cursor_type": "row", "cursor_foreground_priority": "renderable"}
        super().__init__(**looks, **options)
        self._found: Sequence[Group | Relation] = ()

    def show(self, found: Sequence[Group | Relation], width: int) -> None:
        """Shows these in a table of a width; the cursor stays on its group."""
        before = self.chosen()
        self._found = found
        self.clear(columns=True)
        room = max(_LEAST, width - _OTHERS)
        # A table that measures its cells does so later, and not after every change.
        self.add_column("", width=1)
        self.add_column("Why", width=_WHY)
        self.add_column("Name", width=room)
        for label, own in (("Files", 5), ("Frees", _SIZE)):
            self.add_column(Text(label, justify="right"), width=own)
        for one in found[:MOST]:
            self.add_row(*self._cells(one, room))
        names = [_name(one) for one in found[:MOST]]
        if before is not None and _name(before) in names:
            self.move_cursor(row=names.index(_name(before)))

    def fit(self, width: int) -> None:
        """Shows the same in another width."""
        self.show(self._found, width)

    def chosen(self) -> Group | Relation | None:
        """The group under the cursor."""
        return self._found[self.cursor_row] if self.row_count else None

    def _cells(self, one: Group | Relation, room: int) -> tuple[Text, ...]:
        level = getattr(one, "level", None)
        freed = getattr(one, "redundant_bytes", 0)
        colour = colours(self.app)[_COLOURS.get(level or 0, "primary")]
        name = Text(fitted(safe(one.members[0].name), room))
        return (
            Text(f"{level or '·'}", f"bold {colour}"),
            Text(SHORT[one.kind], colour),
            name,
            Text(str(len(one.members)), justify="right"),
            Text(
                size(freed) if freed else "–", "" if freed else "dim", justify="right"
            ),
        )


def _name(one: Group | Relation) -> tuple[str, str]:
    """What tells groups apart, also those of two searches."""
    return one.kind, one.members[0].path
