"""One line of progress while a folder is being indexed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.text import Text
from textual.widgets import Static

from lorajax_tui.themes import colours
from lorajax_tui.widgets.meter import meter
from lorajax_tui.words import duration, safe

if TYPE_CHECKING:
    from lorajax.service.progress import Progress

_BAR = 18


class IndexStrip(Static):
    """Bar, count, rate, time left, and the file in hand."""

    _started = 0.0

    def begin(self) -> None:
        """Appears for a new run."""
        self._started = time.monotonic()
        self.update(Text("indexing: looking for files …"))
        self.display = True

    def show(self, progress: Progress) -> None:
        """Shows how far it has come."""
        if not progress.total:
            return self.update(Text(f"{safe(progress.stage)} …"))
        done, total = progress.done, progress.total
        seconds = max(1e-3, time.monotonic() - self._started)
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append_text(meter(done / total, _BAR, colours(self.app), "accent"))
        text.append(f" {done:,}/{total:,}", "bold")
        if done and seconds > 1:
            left = duration((total - done) * seconds / done)
            text.append(f" · {done / seconds:.1f}/s · {left} left", "dim")
        text.append(f" · {safe(progress.note)}", "dim")
        self.update(text)
