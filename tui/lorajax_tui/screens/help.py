"""Every key of the screen one comes from."""

from __future__ import annotations

from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from lorajax_tui.themes import colours

WORDS = {
    "library": "Type / to filter: every word must occur in the name, base model, "
    "family, tier or tags. Conditions go there too: base=sdxl rank<=32 tag=ink. "
    "A click on a column's head sorts by it.",
    "neighbours": "Similarity is the cosine between two LoRAs of one space: 1 means "
    "the same direction of change, 0 nothing in common. + and − steer: more like this "
    "one, less like that one. The filter takes words and conditions: rank<=32 tag=ink.",
    "map": "Every dot is a LoRA of one base model. PCA shows the two directions in "
    "which they differ most; the percentages are how much of it each direction shows.",
    "compare": "Bars are the sizes of the two updates in each module; alike is the "
    "cosine between them: 1 the same direction, 0 nothing in common, -1 the opposite.",
    "duplicates": "Files of which one can stand for the others, from the same bytes to "
    "nearly the same update; what is redundant the kept one gives exactly. Epochs of a "
    "run and pairs of noise belong together and are no duplicates. Nothing is ever "
    "deleted or moved: w writes a list to look through.",
    "label": "Choose the one whose effect is more like the one above. Every answer is "
    "written at once; a few comparisons are easy, to see that answers can be trusted.",
    "settings": "A line a setting; what differs from the configuration is marked. "
    "Enter goes to its value and back. An empty line means nothing.",
    "evaluate": "Everything was measured on styles that no method learned from. A star "
    "marks what differs from the method with ◆ by more than chance (p < 0.05, by "
    "Holm's correction).",
    "train": "A run is a process of its own: it goes on when this application is "
    "closed, and is found again. Stopping writes a checkpoint first.",
}


class HelpScreen(ModalScreen[None]):
    """Keys, and a word on what the screen shows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1,q", "dismiss", "Close")
    ]

    def __init__(self, mode: str, keys: list[tuple[str, str]]) -> None:
        super().__init__()
        self._mode, self._keys = mode, keys

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(f"{self._mode.title()}: keys", classes="dialog-title")
            yield Static(WORDS[self._mode], classes="dialog-text")
            with VerticalScroll():
                yield Static(self._table())
            yield Static("Esc closes", classes="dialog-foot")

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 3, 0, 0))
        style = colours(self.app)["accent"]
        for key, words in self._keys:
            table.add_row(Text(key, style, justify="right"), Text(words))
        return table
