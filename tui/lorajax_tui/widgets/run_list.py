"""The runs, newest first, each with its state."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from lorajax_tui.themes import colours
from lorajax_tui.words import ago, safe

if TYPE_CHECKING:
    from lorajax.service.runs import Run

STATES = {
    "starting": ("◌", "accent"),
    "running": ("●", "accent"),
    "finished": ("✓", "success"),
    "stopped": ("■", "warning"),
    "failed": ("✗", "error"),
    "died": ("✗", "error"),
}


class RunList(OptionList):
    """One run a line; the chosen one stays chosen while others come and go."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
    ]

    def show(self, runs: list[Run], chosen: Path | None) -> None:
        """Shows the runs; redraws only what has changed."""
        names = [str(run.path) for run in runs]
        if names != [option.id for option in self.options]:
            with self.prevent(OptionList.OptionHighlighted):
                self.clear_options()
                self.add_options(Option(self._line(run), str(run.path)) for run in runs)
                if str(chosen) in names:
                    self.highlighted = names.index(str(chosen))
            return
        for run in runs:
            self.replace_option_prompt(str(run.path), self._line(run))

    def _line(self, run: Run) -> Text:
        sign, colour = STATES[run.state]
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f"{sign} ", colours(self.app)[colour])
        text.append(safe(run.name))
        share = self._share(run)
        text.append(f"  {share or ago(run.started)}", "dim")
        return text

    def _share(self, run: Run) -> str:
        if not run.is_active or run.status is None or not run.status.total:
            return ""
        return f"{run.status.step / run.status.total:.0%}"
