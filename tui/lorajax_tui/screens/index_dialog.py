"""Asking for a folder to index, and whether to stop."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, DirectoryTree, Input, Static

from lorajax_tui.screens.frame import SHORT_OR_TALL, Candid
from lorajax_tui.widgets.folders import (
    Folders,
    FolderSuggester,
    is_folder,
    nearest_folder,
    typed_path,
)


class IndexDialog(Candid, ModalScreen[Path | None]):
    """Asks for a folder; nothing in it is changed."""

    VERTICAL_BREAKPOINTS = SHORT_OR_TALL
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel")]

    def __init__(self, folder: str = "") -> None:
        super().__init__()
        self._folder = folder or str(Path.home())

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("Index a folder", classes="dialog-title")
            yield Static(
                "Every .safetensors file below it is read where it lies. Files that "
                "are known are not read again; nothing is changed or sent anywhere.",
                classes="dialog-text",
            )
            yield Input(self._folder, suggester=FolderSuggester(), id="folder")
            yield Static(id="complaint")
            yield Folders(Path.home(), id="folders")
            with Horizontal(classes="dialog-buttons"):
                yield Button("Index", variant="primary", id="go")
                yield Button("Cancel", id="cancel")

    def on_mount(self) -> None:
        self._open_tree(Path(self._folder))

    @work(thread=True, exit_on_error=False)
    def _open_tree(self, folder: Path) -> None:
        """Begins the tree above the folder, so that its neighbours are seen."""
        self.app.call_from_thread(self._show_tree, nearest_folder(folder))

    def _show_tree(self, above: Path) -> None:
        self.query_one(Folders).path = above

    def action_cancel(self) -> None:
        self.dismiss(None)

    @on(DirectoryTree.NodeHighlighted, "#folders")
    def _picked(self) -> None:
        folders = self.query_one(Folders)
        if folders.has_focus and (path := folders.picked()) is not None:
            self.query_one(Input).value = path

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)

    @on(Input.Submitted)
    @on(Button.Pressed, "#go")
    def _go(self) -> None:
        self._check(typed_path(self.query_one(Input).value))

    @work(thread=True, exclusive=True, group="check", exit_on_error=False)
    def _check(self, folder: Path) -> None:
        """Looks at the folder in a thread: a network disk may take its time."""
        there = folder.absolute() if is_folder(folder) else None
        self.app.call_from_thread(self._answer, there)

    def _answer(self, folder: Path | None) -> None:
        if not self.is_active:  # it was cancelled, or has been answered, meanwhile
            return
        if folder is not None:
            self.dismiss(folder)
        else:
            self.query_one("#complaint", Static).update("There is no such folder.")


class StopDialog(ModalScreen[bool]):
    """Asks whether the running indexing shall stop."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(False)", "No")]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("Stop indexing?", classes="dialog-title")
            yield Static(
                "What has been indexed stays; the next time goes on from there.",
                classes="dialog-text",
            )
            with Horizontal(classes="dialog-buttons"):
                yield Button("Stop", variant="warning", id="stop")
                yield Button("Go on", id="on")

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "stop")
