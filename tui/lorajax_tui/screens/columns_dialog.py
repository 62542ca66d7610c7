"""Asking which columns the table of the collection shows."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, SelectionList, Static
from textual.widgets.selection_list import Selection

from lorajax_tui.widgets.columns import MORE, SPECS


class ColumnsDialog(ModalScreen[tuple[str, ...] | None]):
    """Names of columns to tick; the answer is empty where the width shall decide.

    Args:
      shown: the names of the columns that are shown now.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel")]

    def __init__(self, shown: tuple[str, ...]) -> None:
        super().__init__()
        self._shown = shown

    def compose(self) -> ComposeResult:
        choices = [
            Selection(spec.label, spec.name, spec.name in self._shown)
            for spec in (*SPECS, *MORE)
            if spec.name != "name"
        ]
        with Vertical(classes="dialog"):
            yield Static("Columns", classes="dialog-title")
            yield SelectionList(*choices, compact=True)
            yield Static(
                "What does not fit the screen is left out from the right.",
                classes="dialog-foot",
            )
            with Horizontal(classes="dialog-buttons"):
                yield Button("Show", variant="primary", id="show")
                yield Button("By width", id="width")

    def on_mount(self) -> None:
        self.query_one(SelectionList).focus()

    def action_cancel(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#show")
    def _show(self) -> None:
        ticked = self.query_one(SelectionList).selected
        if not ticked:  # which would be remembered as no choice at all
            words = "No column is ticked: tick one, or choose By width."
            self.query_one(".dialog-foot", Static).update(words)
            return
        names = [spec.name for spec in (*SPECS, *MORE)]
        self.dismiss(tuple(name for name in names if name in ticked))

    @on(Button.Pressed, "#width")
    def _by_width(self) -> None:
        self.dismiss(())
