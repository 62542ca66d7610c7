"""What the colours of the map mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual.widgets import Static

from lorajax_tui.words import safe

if TYPE_CHECKING:
    from lorajax.service.likeness.grouping import Grouping

_NAME = 20
_SWATCH = "⣿"
_GAP = 3


class Legend(Static):
    """The groups in their colours, with how many LoRAs each has."""

    _parts: Sequence[Text] = ()

    def show(
        self, grouping: Grouping | None, colours: Sequence[str], others: str
    ) -> None:
        """Shows the largest groups, one for each colour, and the rest together."""
        self.display = grouping is not None
        if grouping is None:
            return
        counts = Counter(grouping.of)
        parts = [Text(safe(grouping.by), "bold")]
        for name, colour in zip(grouping.names, colours, strict=False):
            parts.append(_part(name, counts.pop(name), colour))
        if left := counts.total():
            parts.append(_part("other", left, others))
        self._parts = parts
        self._lay_out(self.size.width or self.app.size.width)

    def on_resize(self) -> None:
        self._lay_out(self.size.width)

    def _lay_out(self, room: int) -> None:
        """Breaks a line between two groups, never inside of one."""
        text, used = Text(), 0
        for part in self._parts:
            if used and used + _GAP + part.cell_len > room:
                text.append("\n")
                used = 0
            text.append(" " * (_GAP * bool(used))).append_text(part)
            used += _GAP * bool(used) + part.cell_len
        self.update(text)


def _part(name: str, number: int, colour: str) -> Text:
    text = Text().append(f"{_SWATCH} ", colour).append(safe(name, _NAME))
    return text.append(f" {number:,}", "dim")
