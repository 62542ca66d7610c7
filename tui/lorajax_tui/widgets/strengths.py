"""A bar for every block of the network: where an update is strong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text
from textual.widgets import Static

from lorajax_tui.themes import colours
from lorajax_tui.widgets.meter import meter
from lorajax_tui.words import safe

if TYPE_CHECKING:
    from lorajax.service.likeness.comparing import Strength

_ROOM = 36  # cells of the details beside a list
_BAR, _SHARE = 12, 5
_NAME = 22
# What only makes names of blocks long.
_SHORTER = ("text_model.encoder.", "transformer.", "_blocks", "base_model.model.")


class Strengths(Static):
    """The norm of each block by the largest, and its share of the whole."""

    def clear(self) -> None:
        """Shows nothing until there is something to show."""
        self.update("")

    def show(self, found: Sequence[Strength]) -> None:
        """Shows the blocks of one LoRA in their order."""
        largest = max((one.norm for one in found), default=0.0) or 1.0
        names = [short_block(one.block) for one in found]
        width = max((cell_len(name) for name in names), default=0)
        bar = max(1, min(_BAR, _ROOM - width - 1 - _SHARE))
        text = Text("\nwhere it is strong\n", no_wrap=True, overflow="ellipsis")
        text.stylize("dim")
        for name, one in zip(names, found, strict=True):
            text.append(name + " " * (width - cell_len(name) + 1), "dim")
            text.append_text(meter(one.norm / largest, bar, colours(self.app)))
            text.append(f" {one.share:{_SHARE - 1}.0%}\n")
        self.update(text)


def short_block(block: str) -> str:
    """A block's name as far as it tells blocks apart, from the right."""
    name = safe(block)
    for part in _SHORTER:
        name = name.replace(part, "")
    return name if cell_len(name) <= _NAME else "…" + name[1 - _NAME :]
