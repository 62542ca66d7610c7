"""Several runs side by side: their curves in one plot, and in what they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container, Vertical, VerticalScroll
from textual.widgets import Static

from lorajax_tui.themes import colours, palette
from lorajax_tui.widgets.curve_plot import CurvePlot
from lorajax_tui.widgets.results import METRICS, mean_text, trained_row
from lorajax_tui.widgets.run_list import STATES, SWATCH
from lorajax_tui.words import safe

if TYPE_CHECKING:
    from lorajax_tui.messages import RunRead

_SETTINGS = 8
_WORD = 24


class RunsView(Vertical):
    """The marked runs."""

    def compose(self) -> ComposeResult:
        with Container(classes="plots"):
            yield CurvePlot("Loss", ("loss",), id="losses")
            yield CurvePlot("Accuracy", ("triplet_accuracy", "accuracy"), id="accurate")
        with VerticalScroll(id="beside", can_focus=False):
            yield Static(id="runs-table")

    def show(self, read: Sequence[RunRead]) -> None:
        """Shows runs as they were just read."""
        from lorajax.service.learning.side_by_side import differing

        curves = [(str(one.run.path), one.curves) for one in read]
        for plot in self.query(CurvePlot):
            plot.show_several(curves)
        settings = differing([one.run for one in read])
        self.query_one("#runs-table", Static).update(self._table(read, settings))

    def _table(
        self, read: Sequence[RunRead], settings: dict[str, tuple[Any, ...]]
    ) -> Table:
        """What is known of the runs: a column for each, a row for every fact."""
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        table.add_column(no_wrap=True, style="dim")
        for _ in read:
            table.add_column(overflow="ellipsis", no_wrap=True)
        hues = palette(self.app)
        names = [
            Text(f"{SWATCH} {safe(one.run.name)}", f"bold {hue}")
            for one, hue in zip(read, hues, strict=False)
        ]
        table.add_row("", *names)
        table.add_row("state", *map(self._state, read))
        for what in ("loss", "triplet_accuracy"):
            values = [one.curves.last(what) for one in read]
            cells = [Text("–" if v is None else f"{v:.4g}") for v in values]
            table.add_row(f"last {what}".replace("_", " "), *cells)
        rows = [trained_row(one.results) for one in read]
        for metric in METRICS:
            if any(metric in row for row in rows):
                cells = [mean_text(row.get(metric)) for row in rows]
                table.add_row(f"unseen {metric}".replace("_", " "), *cells)
        for key, values in list(settings.items())[:_SETTINGS]:
            table.add_row(Text(safe(key)), *(Text(safe(str(v), _WORD)) for v in values))
        if len(settings) > _SETTINGS:
            table.add_row(f"and {len(settings) - _SETTINGS} more settings differ")
        return table

    def _state(self, one: RunRead) -> Text:
        sign, colour = STATES[one.run.state]
        text = Text(f"{sign} {one.run.state}", colours(self.app)[colour])
        status = one.run.status
        if status is not None and status.total:
            text.append(f" {status.step:,}/{status.total:,}", "dim")
        return text
