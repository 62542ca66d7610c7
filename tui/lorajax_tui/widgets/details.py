"""What is known of one LoRA, beside the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from lorajax_tui.themes import colours
from lorajax_tui.widgets.columns import tier_text
from lorajax_tui.widgets.meter import meter
from lorajax_tui.widgets.picture import Picture
from lorajax_tui.widgets.strengths import Strengths
from lorajax_tui.words import count, norm, rank, safe

if TYPE_CHECKING:
    from lorajax.errors import LorajaxError
    from lorajax.service.collection.library import Entry
    from lorajax.service.likeness.comparing import Strength

_COPIES = 6
TIER_WORDS = {
    "exact": "the update itself is known",
    "direction": "known up to the size of its parts",
    "operator": "acts on weights; cannot be compared",
    "opaque": "cannot be read as an update",
}


class Details(VerticalScroll, can_focus=True):
    """Facts of the LoRA under the cursor."""

    def compose(self) -> ComposeResult:
        yield Picture(id="preview")
        yield Static(id="facts")
        yield Static(id="copies")
        yield Strengths(id="strengths")

    def on_mount(self) -> None:
        self.border_title = "Details"

    def show(self, entry: Entry | None) -> None:
        """Shows one LoRA, or nothing."""
        facts = self.query_one("#facts", Static)
        facts.update("" if entry is None else self._render_entry(entry))
        self.query_one("#copies", Static).update("")
        self.query_one(Strengths).clear()
        self.scroll_home(animate=False)
        if entry is None:
            self.show_picture(None)

    def show_picture(self, pixels: np.ndarray | None) -> None:
        """Shows the picture of the LoRA that is shown, or that it has none."""
        picture = self.query_one(Picture)
        picture.display = pixels is not None
        picture.show(pixels)

    def show_copies(self, copies: Sequence[Entry]) -> None:
        """Names other LoRAs that are the same update as the one that is shown."""
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f"\n{count(len(copies), 'other')} of the same update", "dim")
        for one in copies[:_COPIES]:
            text.append("\n= ", "dim")
            text.append(safe(one.name), self._colour("accent"))
        if len(copies) > _COPIES:
            text.append(f"\nand {len(copies) - _COPIES} more", "dim")
        self.query_one("#copies", Static).update(text)

    def show_strengths(self, found: Sequence[Strength]) -> None:
        """Shows where in the network the LoRA that is shown is strong."""
        self.query_one(Strengths).show(found)

    def show_no_strengths(self, error: LorajaxError) -> None:
        """Says why that cannot be told."""
        text = Text(f"\n⚠ {safe(error.message)}\n", self._colour("warning"))
        self.query_one(Strengths).update(text.append(safe(error.hint), "dim"))

    def _render_entry(self, entry: Entry) -> Group:
        parts: list[RenderableType] = [Text(safe(entry.name), "bold"), Text()]
        parts.append(self._table(entry))
        if entry.facts.tags:
            parts += [Text(), self._tags(entry)]
        for warning in entry.facts.warnings:
            parts += [Text(), Text(f"⚠ {safe(warning)}", self._colour("warning"))]
        parts += [Text(), *self._paths(entry)]
        return Group(*parts)

    def _table(self, entry: Entry) -> Table:
        facts = entry.facts
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        tier = tier_text(facts.tier, colours(self.app))
        tier.append(f"\n{TIER_WORDS.get(facts.tier, '')}", "dim")
        rows: list[tuple[str, str | Text]] = [
            ("base", safe(facts.base_model)),
            ("family", f"{safe(facts.family)} · {safe(facts.format)}"),
            ("numbers", safe(facts.dtype)),
            ("rank", self._rank(entry)),
            ("modules", self._modules(entry)),
            ("norm", norm(facts.norm)),
            ("tier", tier),
            ("key", entry.key[:16]),
        ]
        for label, value in rows:
            table.add_row(label, Text(value) if isinstance(value, str) else value)
        return table

    def _rank(self, entry: Entry) -> str:
        facts = entry.facts
        span = rank(facts.rank_min, facts.rank_max)
        differs = facts.rank_min != facts.rank_max
        return f"{span} (median {facts.rank_median:g})" if differs else span

    def _modules(self, entry: Entry) -> Text:
        facts = entry.facts
        share = facts.modules_mapped / max(1, facts.modules_total)
        text = Text(f"{facts.modules_mapped} of {facts.modules_total} ")
        text.append_text(meter(share, 10, colours(self.app)))
        for number, word in ((facts.unmapped, "unmapped"), (facts.dead, "dead")):
            if number:
                text.append(f"\n{number} {word}", "dim")
        return text

    def _tags(self, entry: Entry) -> Text:
        """The tags as chips; a line is broken between two of them, never inside."""
        room, used = max(20, self.query_one("#facts").size.width), 0
        text = Text(no_wrap=True, overflow="ellipsis")
        for tag in entry.facts.tags:
            chip = f" {safe(tag)} "
            if used and used + cell_len(chip) > room:
                text.append("\n")
                used = 0
            text.append(chip, self._chip()).append(" ")
            used += cell_len(chip) + 1
        return text

    def _paths(self, entry: Entry) -> list[Text]:
        if entry.missing:
            yours = Text(
                "the file is gone, or its disk is away", self._colour("warning")
            )
            return [yours, *(Text(safe(path), "dim strike") for path in entry.paths)]
        return [Text(safe(path), "dim") for path in entry.paths]

    def _colour(self, name: str) -> str:
        return colours(self.app)[name]

    def _chip(self) -> str:
        if self.app.current_theme.ansi:
            return "bright_white on bright_black"
        return f"{self._colour('primary')} on {self._colour('panel')}"
