"""The files that could not be read, each with its reason and what to do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from lorajax.errors import LorajaxError
from lorajax.service.collection import library as service
from lorajax_tui.messages import RefusedListed
from lorajax_tui.screens.frame import Candid
from lorajax_tui.themes import colours
from lorajax_tui.words import count, safe

if TYPE_CHECKING:
    from lorajax_tui.app import LorajaxApp

_SHOWN = 500


class RefusedScreen(Candid, ModalScreen[None]):
    """A list of refusals."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,x,q", "dismiss", "Close")]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("Refused files", classes="dialog-title")
            with VerticalScroll():
                yield Static("Looking …", id="refused")
            yield Static("Esc closes", classes="dialog-foot")

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        self._list(cast("LorajaxApp", self.app).library)

    @work(thread=True, exit_on_error=False)
    def _list(self, library: Path) -> None:
        try:
            self.post_message(RefusedListed(service.refused(library)))
        except LorajaxError as error:
            # Without a library nothing was refused either.
            known = error if os.path.exists(library) else None
            self.post_message(RefusedListed([], known))

    @on(RefusedListed)
    def _show(self, message: RefusedListed) -> None:
        found = message.refused
        if message.error is not None:
            return self._say_failure(message.error)
        text = Text() if found else Text("None: every file could be read.", "dim")
        for refusal in found[:_SHOWN]:
            name = Path(refusal.path).name
            reason = refusal.reason.replace(refusal.path, "").removeprefix(f"{name}")
            text.append(f"{safe(name)}\n", f"bold {colours(self.app)['warning']}")
            text.append(f"{safe(reason.lstrip(': '))}\n")
            text.append(f"{safe(refusal.hint)}\n\n", "dim")
        self.query_one("#refused", Static).update(text)
        if found:
            title = f"{count(len(found), 'file')} could not be read"
            self.query_one(".dialog-title", Static).update(title)

    def _say_failure(self, error: LorajaxError) -> None:
        text = Text(f"{safe(error.message)}\n", colours(self.app)["error"])
        text.append(safe(error.hint), "dim")
        self.query_one("#refused", Static).update(text)
