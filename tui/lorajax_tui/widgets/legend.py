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


class Legend(Static):
    """The groups in their colours, with how many LoRAs each has."""

    def show(
        self, grouping: Grouping | None, colours: Sequence[str], others: str
    ) -> None:
        """Shows the largest groups, one for each colour, and the rest together."""
        self.display = grouping is not None
        if grouping is None:
            return
        counts, text = Counter(grouping.of), Text(overflow="ellipsis")
        text.append(f"{safe(grouping.by)}  ", "bold")
        for name, colour in zip(grouping.names, colours, strict=False):
            _append(text, name, counts.pop(name), colour)
        if left := counts.total():
            _append(text, "other", left, others)
        self.update(text)


def _append(text: Text, name: str, number: int, colour: str) -> None:
    # unbreakable blanks: a line is broken between two groups only
    text.append(f"{_SWATCH}\u00a0", colour)
    text.append(safe(name, _NAME).replace(" ", "\u00a0"))
    text.append(f"\u00a0{number:,}   ", "dim")
