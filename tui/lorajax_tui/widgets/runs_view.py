"""Several runs side by side: their curves in one plot, and in what they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container, Vertical, VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from lorajax_tui.themes import colours, palette
from lorajax_tui.widgets.curve_plot import CurvePlot
from lorajax_tui.widgets.results import METRICS, mean_text, trained_row
from lorajax_tui.widgets.run_list import STATES, SWATCH
from lorajax_tui.words import count, safe

if TYPE_CHECKING:
    from lorajax_tui.messages import RunRead

_SETTINGS = 8
_WORD = 24
_AROUND = 3  # cells beside the table: padding and a scroll bar
_BETWEEN = 2
_FACT, _RUN = 14, 6  # cells that the name of a fact and what is told of a run may need


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
        assert isinstance(
            self.parent, Widget
        )  # hidden, this one has no size of its own
        room = self.parent.size.width - _AROUND
        table = _table(self._rows(read, settings), room)
        self.query_one("#runs-table", Static).update(table)

    def _rows(
        self, read: Sequence[RunRead], settings: dict[str, tuple[Any, ...]]
    ) -> list[list[Text]]:
        """What is known of the runs: a row for every fact, a cell for each run."""
        hues = palette(self.app)
        names = [
            Text(f"{SWATCH} {safe(one.run.name)}", f"bold {hue}")
            for one, hue in zip(read, hues, strict=False)
        ]
        rows = [[Text(), *names], [Text("state"), *map(self._state, read)]]
        for what in ("loss", "triplet_accuracy"):
            values = [one.curves.last(what) for one in read]
            cells = [Text("–" if v is None else f"{v:.4g}") for v in values]
            rows.append([Text(f"last {what}".replace("_", " ")), *cells])
        measured = [trained_row(one.results) for one in read]
        for metric in METRICS:
            if any(metric in row for row in measured):
                cells = [mean_text(row.get(metric)) for row in measured]
                rows.append([Text(f"unseen {metric}".replace("_", " ")), *cells])
        for key, values in list(settings.items())[:_SETTINGS]:
            cells = [Text(safe(str(value), _WORD)) for value in values]
            rows.append([Text(safe(key)), *cells])
        if len(settings) > _SETTINGS:
            more = f"and {len(settings) - _SETTINGS} more settings differ"
            rows.append([Text(more), *(Text() for _ in read)])
        return rows

    def _state(self, one: RunRead) -> Text:
        sign, colour = STATES[one.run.state]
        text = Text(f"{sign} {one.run.state}", colours(self.app)[colour])
        status = one.run.status
        if status is not None and status.total:
            text.append(f" {status.step:,}/{status.total:,}", "dim")
        return text


def _table(rows: list[list[Text]], room: int) -> Table:
    """The facts with as many runs as have room, none of which is a mere sign."""
    facts, *runs = _widths(rows, room)
    table = Table(box=None, padding=(0, _BETWEEN, 0, 0), show_header=False)
    table.add_column(no_wrap=True, overflow="ellipsis", style="dim", max_width=facts)
    for width in runs:
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=width)
    for row in rows:
        table.add_row(*row[: 1 + len(runs)])
    if left := len(rows[0]) - 1 - len(runs):
        table.add_row("and " + count(left, "run"))
    return table


def _widths(rows: list[list[Text]], room: int) -> list[int]:
    """Cells for the facts and for each run; the widest runs give way first."""
    facts, *runs = (
        max(text.cell_len for text in column) for column in zip(*rows, strict=True)
    )

    def wanted(cap: int) -> int:
        return sum(min(width, cap) + _BETWEEN for width in runs)

    facts = min(facts, max(_FACT, room - _BETWEEN - wanted(_RUN)))
    room -= facts + _BETWEEN
    while len(runs) > 1 and wanted(_RUN) > room:
        runs.pop()
    cap = max(runs)
    while cap > _RUN and wanted(cap) > room:
        cap -= 1
    return [facts, *(min(width, cap) for width in runs)]
