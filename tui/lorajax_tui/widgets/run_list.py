"""The runs, newest first, each with its state."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from lorajax_tui.themes import colours, palette
from lorajax_tui.words import ago, safe

if TYPE_CHECKING:
    from lorajax.service.learning.runs import Run

STATES = {
    "starting": ("◌", "accent"),
    "running": ("●", "accent"),
    "finished": ("✓", "success"),
    "stopped": ("■", "warning"),
    "failed": ("✗", "error"),
    "died": ("✗", "error"),
}


SWATCH = "⣿"
MOST_MARKED = 8  # as many as there are colours


class RunList(OptionList):
    """One run a line; the chosen one stays chosen while others come and go.

    Marked runs have a colour each, by which they are told apart in plots.
    """

    class Marked(Message):
        """Other runs are marked now."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Side by side"),
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
    ]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.marked: list[Path] = []
        self._runs: list[Run] = []

    def action_mark(self) -> None:
        """Puts the run under the cursor beside others, or takes it away."""
        option = self.highlighted_option
        if option is None or option.id is None:
            return
        path = Path(option.id)
        if path in self.marked:
            self.marked.remove(path)
        elif len(self.marked) < MOST_MARKED:
            self.marked.append(path)
        else:
            title = f"At most {MOST_MARKED} runs stand side by side"
            words = "Press space on one of them to take it away."
            self.notify(words, title=title, markup=False)
            return
        self._redraw()
        self.post_message(self.Marked())

    def unmark(self) -> None:
        """Takes all marks away."""
        self.marked.clear()
        self._redraw()
        self.post_message(self.Marked())

    def _redraw(self) -> None:
        for run in self._runs:
            self.replace_option_prompt(str(run.path), self._line(run))

    def show(self, runs: list[Run], chosen: Path | None) -> None:
        """Shows the runs, the chosen one under the cursor; redraws what has changed."""
        self._runs = runs
        self.marked = [path for path in self.marked if path in {r.path for r in runs}]
        names = [str(run.path) for run in runs]
        with self.prevent(OptionList.OptionHighlighted):
            if names != [option.id for option in self.options]:
                self.clear_options()
                self.add_options(Option(self._line(run), str(run.path)) for run in runs)
            else:
                self._redraw()
            if str(chosen) in names:
                self.highlighted = names.index(str(chosen))

    def _line(self, run: Run) -> Text:
        sign, colour = STATES[run.state]
        text = Text(no_wrap=True, overflow="ellipsis")
        if run.path in self.marked:
            text.append(f"{SWATCH} ", palette(self.app)[self.marked.index(run.path)])
        text.append(f"{sign} ", colours(self.app)[colour])
        text.append(safe(run.name))
        began = ago(run.started) if run.started else ""  # nobody knows when
        return text.append(f"  {self._share(run) or began}".rstrip(), "dim")

    def _share(self, run: Run) -> str:
        if not run.is_active or run.status is None or not run.status.total:
            return ""
        return f"{run.status.step / run.status.total:.0%}"
