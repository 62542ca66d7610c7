"""One LoRA of a comparison: its picture large, or what is known of it in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from lorajax_tui.widgets.picture import Picture
from lorajax_tui.words import rank, safe

if TYPE_CHECKING:
    from lorajax.service.collection.library import Entry

_NAME = 40
_TAGS = 12


class Card(Vertical):
    """A picture with a name in its border."""

    class Clicked(Message):
        """A person points at this card."""

        def __init__(self, card: str | None) -> None:
            super().__init__()
            self.card = card

    def compose(self) -> ComposeResult:
        yield Picture(classes="card-picture")
        yield Static(classes="card-words")

    def show(self, entry: Entry | None, pixels: np.ndarray | None, named: bool) -> None:
        """Shows a LoRA; without `named` nothing but its picture tells what it is."""
        self.set_class(pixels is not None, "-pictured")
        self.query_one(Picture).show(pixels)
        name = safe(entry.name, _NAME) if entry is not None else "gone"
        self.border_title = Text(name if named else "?")
        words = self.query_one(".card-words", Static)
        words.display = named or pixels is None
        words.update(_words(entry, short=pixels is not None))

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.post_message(self.Clicked(self.id))


def _words(entry: Entry | None, short: bool) -> Text:
    if entry is None:
        return Text("It has left the library.")
    tags = " · ".join(safe(tag) for tag in entry.facts.tags[:_TAGS])
    if short:
        return Text(tags)
    own = entry.facts
    facts = (
        tags,
        ", ".join(safe(word) for word in entry.told.trigger_words[:_TAGS]),
        safe(entry.told.description, 300),
        f"{safe(own.family)}, rank {rank(own.rank_min, own.rank_max)}",
    )
    return Text("\n".join(filter(None, facts)))
