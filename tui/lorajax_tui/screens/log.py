"""What a run wrote to its own output, its end first."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from lorajax.service.learning import runs as service
from lorajax_tui.messages import LogRead
from lorajax_tui.screens.frame import Candid
from lorajax_tui.words import safe

_SECONDS = 1.0


class LogScreen(Candid, ModalScreen[None]):
    """The log of a run, read again while it is open."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,o,q", "dismiss", "Close")]

    def __init__(self, run: Path) -> None:
        super().__init__()
        self._run = run

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -wide"):
            yield Static(Text(f"Log of {safe(self._run.name)}"), classes="dialog-title")
            with VerticalScroll():
                yield Static("Looking …", id="log")
            yield Static("Esc closes", classes="dialog-foot")

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        self._read()
        self.set_interval(_SECONDS, self._read_again)

    def _read_again(self) -> None:
        if not self.is_at_work("log"):
            self._read()

    @work(thread=True, group="log", exit_on_error=False)
    def _read(self) -> None:
        self.post_message(LogRead(service.read_log(self._run)))

    @on(LogRead)
    def _show(self, message: LogRead) -> None:
        scroll = self.query_one(VerticalScroll)
        at_end = scroll.scroll_offset.y >= scroll.max_scroll_y
        lines = [safe(line) for line in message.words.splitlines()]
        words = "\n".join(lines) or "It has said nothing."
        self.query_one("#log", Static).update(Text(words))
        if at_end:
            scroll.scroll_end(animate=False)
