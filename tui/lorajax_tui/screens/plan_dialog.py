"""Asking where the list of duplicates goes that a person looks through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from lorajax.errors import LorajaxError
from lorajax_tui.screens.frame import Candid
from lorajax_tui.widgets.folders import FolderSuggester, typed_path
from lorajax_tui.words import count, safe


class PlanDialog(Candid, ModalScreen[None]):
    """Asks for a new file and writes the plan to it.

    Args:
      groups: how many groups it lists.
      write: writes it and tells how many rows it has; called in a thread.
      path: where it is proposed to be.
      written: is told path and rows, also where the dialog was left meanwhile.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel")]

    def __init__(
        self,
        groups: int,
        write: Callable[[Path], int],
        path: Path,
        written: Callable[[Path, int], None],
    ) -> None:
        super().__init__()
        self._groups, self._write, self._proposed = groups, write, path
        self._written = written

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("Write a list to look through", classes="dialog-title")
            yield Static(
                f"Every file of {count(self._groups, 'group')} with what might be done "
                "with it, and why. X.csv opens in a spreadsheet, X.jsonl is for "
                "programs. Nothing is ever deleted or moved by lorajax.",
                classes="dialog-text",
            )
            yield Input(str(self._proposed), suggester=FolderSuggester(), id="plan")
            yield Static(id="complaint")
            with Horizontal(classes="dialog-buttons"):
                yield Button("Write", variant="primary", id="go")
                yield Button("Cancel", id="cancel")

    def action_cancel(self) -> None:
        self.dismiss()

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss()

    @on(Input.Submitted)
    @on(Button.Pressed, "#go")
    def _go(self) -> None:
        self._try(typed_path(self.query_one(Input).value))

    @work(thread=True, exclusive=True, exit_on_error=False)
    def _try(self, path: Path) -> None:
        app = self.app  # which a dialog that was left has no more
        try:
            rows = self._write(path)
        except LorajaxError as error:
            app.call_from_thread(self._complain, app, error)
        else:
            app.call_from_thread(self._finish, path, rows)

    # Both may come when the dialog was cancelled, or answered, meanwhile.
    def _finish(self, path: Path, rows: int) -> None:
        self._written(path, rows)
        if self.is_active:
            self.dismiss()

    def _complain(self, app: App[object], error: LorajaxError) -> None:
        if self.is_active:
            self.query_one("#complaint", Static).update(Text(safe(error.message)))
        else:
            app.notify(safe(error.message), severity="error", markup=False)
