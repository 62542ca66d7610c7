"""What is near a LoRA, and walking from one to the next."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import events, on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import ContentSwitcher, DataTable, Static

from lorajax.errors import LorajaxError
from lorajax.service import library as service
from lorajax_tui.messages import (
    NeighboursFailed,
    NeighboursFound,
)
from lorajax_tui.screens.browse import Browse
from lorajax_tui.themes import colours
from lorajax_tui.widgets.columns import tier_text
from lorajax_tui.widgets.details import Details
from lorajax_tui.widgets.meter import meter
from lorajax_tui.widgets.notice import Notice
from lorajax_tui.words import safe

SHOWN = 50
_BAR = 20
_NAME = 60
_SAME = 0.99  # as near as copies in other formats are


class NearTable(DataTable[Text]):
    """The ranked list."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Walk there"),
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
    ]

    def on_click(self, event: events.Click) -> None:
        """One click chooses, as in the library; two walk."""
        event.prevent_default()
        row = event.style.meta.get("row", -1)
        if row >= 0:
            self.move_cursor(row=row)
            if event.chain == 2:
                self.action_select_cursor()


class NeighboursScreen(Browse):
    """The nearest LoRAs of one, with a trail of where one came from."""

    mode = "neighbours"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("backspace", "back", "Back"),
        Binding("p", "pin", "Pin"),
        Binding("v", "compare", "Compare"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.trail: list[tuple[str, str]] = []

    def body(self) -> Iterable[Widget]:
        table = NearTable(
            cursor_type="row", cursor_foreground_priority="renderable", id="near"
        )
        yield Horizontal(
            Vertical(
                Static(id="trail"),
                Static(id="query"),
                ContentSwitcher(Notice(id="notice"), table, initial="notice"),
                id="browse",
            ),
            Details(id="details"),
            id="columns",
        )

    def on_mount(self) -> None:
        super().on_mount()
        self.add_class("-notice")
        self._say_nothing()

    def _say_nothing(self) -> None:
        self.query_one("#notice", Notice).say(
            "No LoRA is chosen yet",
            "Neighbours are the LoRAs whose weights do nearly the same.",
            "Press 1, choose a LoRA, and press Enter.",
        )

    def begin(self, key: str, name: str) -> None:
        """Starts a new trail at a LoRA."""
        self.trail = [(key, name)]
        self._look()

    def action_walk(self) -> None:
        """Goes on to the neighbour under the cursor."""
        key = self.chosen_key()
        if key is not None:
            self.trail.append((key, self._names[key]))
            self._look()

    def action_back(self) -> None:
        """Goes back along the trail; at its start, to the library."""
        if len(self.trail) > 1:
            self.trail.pop()
            self._look()
        else:
            self.lorajax.action_go("library")

    def compared_with(self) -> str | None:
        """The pinned LoRA; without one, that whose neighbours are shown."""
        known = self.trail[-1][0] if self.trail else None
        return self.lorajax.pinned or known

    @property
    def _table(self) -> NearTable:
        return self.query_one(NearTable)

    def chosen_key(self) -> str | None:
        table = self._table
        if self.query_one(ContentSwitcher).current != "near" or not table.row_count:
            return None
        return table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value

    def _look(self) -> None:
        self._show_trail()
        self._find(self.trail[-1][0])

    @work(thread=True, exclusive=True, group="near", exit_on_error=False)
    def _find(self, key: str) -> None:
        try:
            found = service.neighbours(self.lorajax.library, key, SHOWN)
        except LorajaxError as error:
            self.post_message(NeighboursFailed(key, error))
        else:
            self.post_message(NeighboursFound(found))

    @on(NeighboursFound)
    def _show(self, message: NeighboursFound) -> None:
        found = message.matches
        if not self.trail or found.key != self.trail[-1][0]:
            return
        if not found.matches:
            return self._say("It is alone", "No other LoRA is in its space yet.")
        base, basis, encoder = found.space.rsplit(":", 2)
        learned = "the base space" if encoder == "none" else f"{basis}:{encoder}"
        words = f"{found.searched:,} others of {base} compared in {learned}"
        self.query_one("#query", Static).update(Text(safe(words), "dim"))
        self._names = {match.key: match.name for match in found.matches}
        self._fill(found)
        self.query_one(ContentSwitcher).current = "near"
        self.remove_class("-notice")
        self._table.focus()

    def _fill(self, found: service.Matches) -> None:
        table = self._table
        table.clear(columns=True)
        for label in ("", "Similarity", "Name", "Tier", "Folder"):
            table.add_column(label)
        for match in found.matches:
            cells = (
                Text(str(match.rank), "dim", justify="right"),
                self._similarity(match.similarity),
                Text(safe(match.name, _NAME)),
                tier_text(match.tier, colours(self.app)),
                Text(safe(Path(match.path).parent.name), "dim"),
            )
            table.add_row(*cells, key=match.key)

    def _similarity(self, value: float) -> Text:
        colour = "accent" if value >= _SAME else "primary"
        line = meter(value, _BAR, colours(self.app), colour)
        return line.append(f" {value:6.3f}")

    @on(NeighboursFailed)
    def _show_failure(self, message: NeighboursFailed) -> None:
        if self.trail and message.key == self.trail[-1][0]:
            self._say("Nothing to compare", message.error.message, message.error.hint)

    def _say(self, title: str, text: str, hint: str = "") -> None:
        self.query_one(ContentSwitcher).current = "notice"
        self.add_class("-notice")
        self.query_one("#query", Static).update("")
        self.query_one("#notice", Notice).say(title, text, hint)

    def _show_trail(self) -> None:
        accent = colours(self.app)["accent"]
        text = Text(no_wrap=True, overflow="ellipsis")
        for step, (_, name) in enumerate(self.trail[-4:]):
            text.append(" › " if step else "", "dim")
            last = step == len(self.trail[-4:]) - 1
            text.append(safe(name, _NAME), f"bold {accent}" if last else "dim")
        if len(self.trail) > 4:
            text = Text("… › ", "dim") + text
        self.query_one("#trail", Static).update(text)

    @on(DataTable.RowSelected)
    def _row_selected(self) -> None:
        self.action_walk()

    @on(DataTable.RowHighlighted)
    def _row_highlighted(self) -> None:
        self.look_closer()
