"""The runs and studies that measured something, and a line on what one measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from lorajax_tui.words import ago, count, safe

if TYPE_CHECKING:
    from lorajax.service.learning.measured import Measured


class MeasuredList(OptionList):
    """One run or study a line, the newest first."""

    def on_mount(self) -> None:
        self.border_title = "Runs and studies"

    def show(self, measured: Sequence[Measured], chosen: Path | None) -> None:
        """Shows these; the chosen one stays chosen, else it is the first."""
        with self.prevent(OptionList.OptionHighlighted):
            self.clear_options()
            self.add_options(Option(_line(one), str(one.path)) for one in measured)
        paths = [one.path for one in measured]
        if paths:
            self.highlighted = paths.index(chosen) if chosen in paths else 0


def about_table(results: dict[str, Any], metric: str) -> Text:
    """What was measured of whom, in a line."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(safe(metric), "bold").append(f" · {safe(str(results['truth']))}")
    text.append(
        f" · {count(results['n_queries'], 'query').replace('querys', 'queries')}"
    )
    text.append(f" · {count(results['seeds'], 'seed')}", "dim")
    text.append(f" · * differs from ◆ {safe(str(results['against']))}", "dim")
    return text


def _line(one: Measured) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append("◫ " if one.is_study else "✓ ", "dim").append(safe(one.name))
    return text.append(f"  {ago(one.when)}", "dim")
