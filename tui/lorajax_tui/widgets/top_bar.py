"""The line at the top: the screens by number, and which library is open."""

from __future__ import annotations

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Static

from lorajax_tui.words import safe

SCREENS = {
    "library": "Library",
    "neighbours": "Neighbours",
    "map": "Map",
    "label": "Label",
    "train": "Train",
    "evaluate": "Evaluate",
    "duplicates": "Duplicates",
}

_ROOMY = 96


class Tab(Static):
    """One screen's name; a click goes there."""

    class Clicked(Message):
        """A person wants to see another screen."""

        def __init__(self, mode: str) -> None:
            super().__init__()
            self.mode = mode

    def __init__(self, mode: str, number: int, active: bool) -> None:
        label = Text.assemble((f"{number} ", "dim"), SCREENS[mode])
        super().__init__(label, classes="-active" if active else "")
        self._mode = mode

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.post_message(self.Clicked(self._mode))


class TopBar(Horizontal):
    """Brand, tabs, and a few words about what is open."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode

    def compose(self) -> ComposeResult:
        yield Static("lorajax", id="brand")
        for number, mode in enumerate(SCREENS, 1):
            yield Tab(mode, number, mode == self._mode)
        yield Static(id="open")

    def on_resize(self, event: events.Resize) -> None:
        """Where the screens' names need all the room, they get it."""
        self.set_class(event.size.width < _ROOMY, "-tight")

    def say(self, words: str) -> None:
        """Sets the words at the right end."""
        line = Text(safe(words), no_wrap=True, overflow="ellipsis")
        self.query_one("#open", Static).update(line)
