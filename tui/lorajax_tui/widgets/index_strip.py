"""One line of progress: a folder is being indexed, duplicates are looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.widgets import Static

from lorajax_tui.themes import colours
from lorajax_tui.widgets.meter import meter
from lorajax_tui.words import safe

if TYPE_CHECKING:
    from lorajax.service.progress import Progress

_BAR = 18


class IndexStrip(Static):
    """The stage, a bar, counts, rate and time left, and the file in hand."""

    def begin(self, words: str) -> None:
        """Appears for new work, with what it begins with."""
        self.update(Text(words))
        self.display = True

    def show(self, progress: Progress) -> None:
        """Shows how far it has come."""
        if not progress.total:
            return self.update(Text(f"{safe(progress.stage)} …"))
        done, total = progress.done, progress.total
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f"{safe(progress.stage)} ", "dim")
        text.append_text(meter(done / total, _BAR, colours(self.app), "accent"))
        text.append(f" {done:,}/{total:,}", "bold")
        for words in filter(None, (progress.aside, progress.note)):
            text.append(f" · {safe(words)}", "dim")
        self.update(text)
