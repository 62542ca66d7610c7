"""What stands where content would: nothing yet, still loading, or an error."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Center, Middle
from textual.widgets import Static

from lorajax_tui.words import safe


class Notice(Middle):
    """A title, a line that explains it, and a line that says what to do."""

    def compose(self) -> ComposeResult:
        with Center():
            yield Static(classes="notice-title")
        with Center():
            yield Static(classes="notice-text")
        with Center():
            yield Static(classes="notice-hint")

    def say(self, title: str, text: str = "", hint: str = "", kind: str = "") -> None:
        """Shows words; `kind` "error" colours the title, "loading" makes it quiet."""
        words = {"title": title, "text": text, "hint": hint}
        for name, line in words.items():
            found = self.query_one(f".notice-{name}", Static)
            found.update(Text(safe(line, 1000), justify="center"))
            found.display = bool(line)
        self.set_class(kind == "error", "-error")
        self.set_class(kind == "loading", "-loading")
