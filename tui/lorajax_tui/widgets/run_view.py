"""One run: state, progress, time left, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container, Vertical, VerticalScroll
from textual.widgets import Static

from lorajax_tui.themes import colours
from lorajax_tui.widgets.curve_plot import CurvePlot
from lorajax_tui.widgets.meter import meter
from lorajax_tui.widgets.notice import Notice
from lorajax_tui.widgets.results import results_table, rows_of
from lorajax_tui.widgets.run_list import STATES
from lorajax_tui.words import duration, safe

if TYPE_CHECKING:
    from lorajax.service.learning.curves import Curves
    from lorajax.service.learning.runs import Run
    from lorajax_tui.messages import RunRead

_BAR = 24
_LINES = 12


class RunView(Vertical):
    """Everything about the chosen run."""

    def compose(self) -> ComposeResult:
        yield Static(id="run-head")
        yield Notice(id="waiting")
        with Container(id="plots", classes="plots"):
            yield CurvePlot("Loss", ("loss",), id="loss")
            yield CurvePlot("Accuracy", ("triplet_accuracy", "accuracy"), id="accuracy")
            yield CurvePlot("Learning rate", ("lr",), id="rate")
            yield CurvePlot("LoRAs per second", ("loras_per_s",), id="throughput")
        with VerticalScroll(id="words", can_focus=False):
            yield Static(id="said")

    def show(self, read: RunRead) -> None:
        """Shows a run as it was just read."""
        self.query_one("#run-head", Static).update(self._head(read.run, read.curves))
        self._show_waiting(read)
        for plot in self.query(CurvePlot):
            plot.show(str(read.run.path), read.curves)
        self.query_one("#said", Static).update(self._said(read))

    def _show_waiting(self, read: RunRead) -> None:
        """Empty axes say nothing: until there is a curve, words take their place."""
        measured = bool(read.curves.of)
        self.query_one("#plots").display = measured
        waiting = self.query_one("#waiting", Notice)
        waiting.display = not measured
        status = read.run.status
        if not read.run.is_active:
            waiting.say("No curves", "It ended before its first step.")
        elif status is None:
            waiting.say("Starting …", kind="loading")
        else:
            hint = "Curves appear with the first step."
            waiting.say(status.stage.capitalize(), status.message, hint)

    def _head(self, run: Run, curves: Curves) -> Group:
        found = colours(self.app)
        sign, colour = STATES[run.state]
        title = Text(no_wrap=True, overflow="ellipsis")
        title.append(f"{sign} {run.state}", f"bold {found[colour]}")
        title.append(f"  {safe(run.name)}", "bold")
        if run.status and run.is_active:
            title.append(f"  {safe(run.status.stage)}", "dim")
        return Group(title, self._progress(run, curves))

    def _progress(self, run: Run, curves: Curves) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        if run.status is None or not run.status.total:
            return text.append(_waiting(curves) if run.is_active else "", "dim")
        step, total = run.status.step, run.status.total
        text.append_text(meter(step / total, _BAR, colours(self.app)))
        text.append(f" {step:,}/{total:,}")
        if run.state == "running" and curves.pace:
            left = duration((total - step) / curves.pace)
            text.append(f" · {left} left", "dim")
        if curves.rate:
            text.append(f" · {curves.rate:,.0f} LoRAs/s", "dim")
        if curves.learning_rate:
            text.append(f" · lr {curves.learning_rate:.2g}", "dim")
        return text

    def _said(self, read: RunRead) -> RenderableType:
        """Results where there are some, else the failure, else the last words."""
        status = read.run.status
        parts: list[RenderableType] = []
        if rows := rows_of(read.results):
            parts += [results_table(rows, self.size.width), Text()]
        elif read.results.get("trained") is False:
            parts.append(
                Text("no supervision was found, so nothing was trained", "dim")
            )
        failed = read.run.state in ("failed", "died")
        if status and status.message and not read.run.is_active:
            parts.append(
                Text(
                    safe(status.message),
                    colours(self.app)["error"] if failed else "dim",
                )
            )
        words = read.log.splitlines() if failed else read.curves.messages
        parts += [Text(safe(line), "dim") for line in words[-_LINES:]]
        return Group(*parts)


def _waiting(curves: Curves) -> str:
    """What a run waits for that has not told a step since it was started."""
    if not curves.of:
        return "waiting for its first step"
    newest = max(split for _, split in curves.of)  # the one that goes on
    own = [
        curve.steps[-1] for (_, split), curve in curves.of.items() if split == newest
    ]
    of = f" of split {newest + 1}" if newest else ""
    return f"goes on after step {max(own):,.0f}{of}"
