"""Asking for the name of a file to be written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from lorajax_tui.words import safe


class SaveDialog(ModalScreen[Path | None]):
    """Asks for a name; the file lies in one folder."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel")]

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__()
        self._folder, self._proposed = folder, name

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("Save as a configuration of your own", classes="dialog-title")
            where = Text(f"In {safe(str(self._folder.absolute()))}")
            yield Static(where, classes="dialog-text")
            yield Input(self._proposed, id="file-name")
            yield Static(id="complaint")
            with Horizontal(classes="dialog-buttons"):
                yield Button("Save", variant="primary", id="go")
                yield Button("Cancel", id="cancel")

    def action_cancel(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)

    @on(Input.Submitted)
    @on(Button.Pressed, "#go")
    def _go(self) -> None:
        name = self.query_one(Input).value.strip().removesuffix(".yaml")
        path = self._folder / f"{name}.yaml"
        complaint = ""
        if not name or Path(name).name != name:
            complaint = "Expected a name without folders."
        elif os.path.lexists(path):  # never raises, whatever was typed
            complaint = "There is such a file already."
        if complaint:
            self.query_one("#complaint", Static).update(complaint)
        else:
            self.dismiss(path)
