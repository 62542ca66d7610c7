"""Asking for a folder to index, and whether to stop."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Button, DirectoryTree, Input, Static
from textual.widgets.directory_tree import DirEntry


class FolderSuggester(Suggester):
    """Completes the path of a folder; → takes the suggestion."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        typed = Path(value).expanduser()
        parent, part = (
            (typed, "") if value.endswith("/") else (typed.parent, typed.name)
        )
        try:
            found = sorted(
                folder.name
                for folder in parent.iterdir()
                if folder.name.startswith(part) and folder.is_dir()
            )
        except OSError:
            return None
        visible = [name for name in found if part or not name.startswith(".")]
        return value + visible[0][len(part) :] if visible else None


class Folders(DirectoryTree):
    """The folders of a disk, without their files."""

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        return (p for p in paths if not p.name.startswith(".") and _is_folder(p))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a disk that is away
        return False


class IndexDialog(ModalScreen[Path | None]):
    """Asks for a folder; nothing in it is changed."""

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
            yield Folders(_nearest_folder(Path(self._folder)), id="folders")
            with Horizontal(classes="dialog-buttons"):
                yield Button("Index", variant="primary", id="go")
                yield Button("Cancel", id="cancel")

    def action_cancel(self) -> None:
        self.dismiss(None)

    @on(DirectoryTree.NodeHighlighted, "#folders")
    def _picked(self, event: DirectoryTree.NodeHighlighted[DirEntry]) -> None:
        if self.query_one(Folders).has_focus and event.node.data is not None:
            self.query_one(Input).value = str(event.node.data.path)

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)

    @on(Input.Submitted)
    @on(Button.Pressed, "#go")
    def _go(self) -> None:
        self._check(Path(self.query_one(Input).value.strip()).expanduser())

    @work(thread=True, exclusive=True)
    def _check(self, folder: Path) -> None:
        """Looks at the folder in a thread: a network disk may take its time."""
        there = folder.is_dir()
        self.app.call_from_thread(self._answer, folder.absolute() if there else None)

    def _answer(self, folder: Path | None) -> None:
        if folder is not None:
            self.dismiss(folder)
        else:
            self.query_one("#complaint", Static).update("There is no such folder.")


def _nearest_folder(folder: Path) -> Path:
    """Where the tree begins: above the folder, so that its neighbours are seen."""
    above = [parent for parent in folder.parents if parent.is_dir()]
    return above[0] if above else Path.home()


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
