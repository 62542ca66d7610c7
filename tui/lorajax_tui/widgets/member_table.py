"""The files of one group: what might be done with each, how large, where."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from lorajax_tui.themes import colours
from lorajax_tui.widgets.clicking import click_line
from lorajax_tui.words import fitted, safe, size

if TYPE_CHECKING:
    from lorajax.service.likeness.duplicates import Member

ACTIONS = {
    "keep": ("●", "success"),
    "redundant": ("○", "warning"),
    "review": ("?", "accent"),
}
_OTHERS, _LEAST, _FOLDER = 30, 14, 22
_ACTION, _SIZE = 11, 9
_USUAL = ".safetensors"


class MemberTable(DataTable[Text]):
    """One file a line, the one that would be kept first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Neighbours"),
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("left", "screen.level(-1)", "Level before", show=False),
        Binding("right", "screen.level(1)", "Next level", show=False),
    ]

    def __init__(self, **options: Any) -> None:
        looks = {"cursor_type": "row", "cursor_foreground_priority": "renderable"}
        super().__init__(**looks, show_header=False, **options)
        self._members: Sequence[Member] = ()

    def show(self, members: Sequence[Member], width: int) -> None:
        """Shows these files in a table of a width; the cursor stays on its file."""
        before = self.chosen()
        self._members = members
        self.clear(columns=True)
        room = max(_LEAST, width - _OTHERS - _FOLDER)
        for own in (_ACTION, _SIZE, room, _FOLDER):
            self.add_column("", width=own)
        for member in members:
            self.add_row(*self._cells(member, room))
        paths = [member.path for member in members]
        if before is not None and before.path in paths:
            self.move_cursor(row=paths.index(before.path))

    def chosen(self) -> Member | None:
        """The file under the cursor."""
        return self._members[self.cursor_row] if self.row_count else None

    def _cells(self, member: Member, room: int) -> tuple[Text, ...]:
        sign, colour = ACTIONS[member.action]
        style = "strike dim" if member.missing else ""
        name = fitted(safe(Path(member.path).name.removesuffix(_USUAL)), room)
        return (
            Text(f"{sign} {member.action}", colours(self.app)[colour]),
            Text(size(member.size), "dim", justify="right"),
            Text(name, style),
            Text(fitted(safe(Path(member.path).parent.name), _FOLDER), "dim"),
        )

    def on_click(self, event: events.Click) -> None:
        click_line(self, event)
