"""The ranked list of neighbours, copies of one update in one line."""

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
from lorajax_tui.widgets.columns import tier_text
from lorajax_tui.widgets.filling import fill
from lorajax_tui.widgets.meter import meter
from lorajax_tui.widgets.trail import Lora
from lorajax_tui.words import safe

if TYPE_CHECKING:
    from lorajax.service.likeness.searching import Hit

_BAR = 20
_NAME = 60
_SAME = 0.99  # as near as copies in other formats are


class NearTable(DataTable[Text]):
    """Neighbours, the nearest first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Walk there"),
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
    ]

    def __init__(self, **options: Any) -> None:
        looks = {"cursor_type": "row", "cursor_foreground_priority": "renderable"}
        super().__init__(**looks, **options)
        self._names: dict[str, str] = {}

    def show(self, hits: Sequence[Hit]) -> None:
        """Shows what was found; of a query with two sides also how near to each."""
        sides = any(hit.to_unlike is not None for hit in hits)
        self._names = {hit.key: hit.name for hit in hits}
        labels = ("", "Similarity", "Name", *(("+ −",) if sides else ()))
        heads = [Text(label) for label in (*labels, "Tier", "Folder")]
        lines = [
            [
                Text(str(hit.rank), "dim", justify="right"),
                self._similarity(hit.similarity or 0.0),
                _name(hit),
                *([_sides(hit)] if sides else []),
                tier_text(hit.tier, colours(self.app)),
                Text(safe(Path(hit.path).parent.name), "dim"),
            ]
            for hit in hits
        ]
        fill(self, heads, lines, [hit.key for hit in hits])

    def chosen(self) -> Lora | None:
        """The neighbour under the cursor."""
        if not self.row_count:
            return None
        key = self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value
        return Lora(key, self._names[key]) if key is not None else None

    def _similarity(self, value: float) -> Text:
        colour = "accent" if value >= _SAME else "primary"
        line = meter(value, _BAR, colours(self.app), colour)
        return line.append(f" {value:6.3f}")

    def on_click(self, event: events.Click) -> None:
        click_line(self, event)


def _name(hit: Hit) -> Text:
    """The name, struck out where the file is gone, with the number of its copies."""
    text = Text().append(safe(hit.name, _NAME), "strike dim" if hit.missing else "")
    return text.append(f"  ×{1 + len(hit.copies)}", "bold") if hit.copies else text


def _sides(hit: Hit) -> Text:
    like, unlike = hit.to_like or 0.0, hit.to_unlike or 0.0
    return Text(f"{like:5.2f} {unlike:5.2f}", "dim")
