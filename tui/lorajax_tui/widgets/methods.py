"""The table of an experiment: methods, a bar of one metric, and all metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import DataTable

from lorajax_tui.themes import colours
from lorajax_tui.widgets.filling import fill, widths
from lorajax_tui.widgets.meter import meter
from lorajax_tui.words import safe

SIGNIFICANT = 0.05
SMALLER_IS_BETTER = ("triplet_loss",)
_BAR = 24
_NAME, _SHORT_NAME = 40, 26
_ROOMY = 80
_LEAST = 3  # columns: method, metric, bar


class Methods(DataTable[Text]):
    """A row a method; the best is in the accent colour, the reference marked."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("enter", "select_cursor", "Compare with", show=False),
    ]

    def show(
        self, rows: Sequence[Mapping[str, Any]], metric: str, against: str, best: bool
    ) -> None:
        """Shows an experiment; metrics that do not fit whole are left out.

        Args:
          metric: that is drawn and stands first.
          against: the method that p-values compare with.
          best: whether the best come first; else the order of the results.
        """
        chosen = self.method()
        shown = ordered(rows, metric) if best else list(rows)
        metrics = [metric, *(name for name in metrics_of(rows) if name != metric)]
        values = [row[metric]["mean"] for row in rows if metric in row]
        winner, largest = ordered(rows, metric)[0]["method"], max(values, default=1.0)
        heads = [Text("Method"), _head(metric), Text()]
        heads += map(_head, metrics[1:])
        lines = []
        for row in shown:
            marks = row["method"] == winner, row["method"] == against
            cells = [_cell(row.get(name)) for name in metrics]
            bar = self._bar(row.get(metric), largest, marks[0])
            name = self._named(row["method"], *marks)
            lines.append([name, cells[0], bar, *cells[1:]])
        names = [row["method"] for row in shown]
        self._fill(heads, lines, names)
        if chosen in names:
            self.move_cursor(row=names.index(chosen))

    def _fill(
        self, heads: list[Text], lines: list[list[Text]], names: list[str]
    ) -> None:
        """As many columns as fit, and at least those of the drawn metric."""
        # Until it is shown it has no width of its own; a scrollbar takes a cell.
        room = cast(Widget, self.parent).size.width - 1
        needed = [width + 2 * self.cell_padding for width in widths(heads, lines)]
        count = len(needed)
        while count > _LEAST and sum(needed[:count]) > room:
            count -= 1
        fill(self, heads, lines, names, count)

    def method(self) -> str | None:
        """The method under the cursor."""
        if not self.row_count:
            return None
        return self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value

    def _named(self, method: str, best: bool, reference: bool) -> Text:
        found = colours(self.app)
        text = Text().append("◆ " if reference else "  ", found["primary"])
        room = _NAME if self.size.width >= _ROOMY else _SHORT_NAME
        name = safe(method)
        name = name if len(name) <= room else name[: room - 1] + "…"
        return text.append(name, found["accent"] if best else "")

    def _bar(self, value: Any, largest: float, best: bool) -> Text:
        if not isinstance(value, Mapping):
            return Text()
        share = value["mean"] / largest if largest > 0 else 0.0
        colour = "accent" if best else "primary"
        width = _BAR if self.size.width >= _ROOMY else _BAR // 3
        return meter(share, width, colours(self.app), colour)


def metrics_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every metric that a row has, in order."""
    return list(dict.fromkeys(n for row in rows for n in row if n != "method"))


def ordered(rows: Sequence[Mapping[str, Any]], metric: str) -> list[Mapping[str, Any]]:
    """The rows that have a metric, the best first, then the others."""
    sign = 1 if metric in SMALLER_IS_BETTER else -1
    having = [row for row in rows if metric in row]
    ranked = sorted(having, key=lambda row: sign * row[metric]["mean"])
    return ranked + [row for row in rows if metric not in row]


def _head(metric: str) -> Text:
    return Text(safe(metric), justify="right")


def _cell(value: Any) -> Text:
    """`0.857 ±0.065 *`, the star where it differs significantly."""
    if not isinstance(value, Mapping):
        return Text("–", justify="right")
    text = Text(f"{value['mean']:.3f}", justify="right")
    if isinstance(value.get("std"), int | float):
        text.append(f" ±{value['std']:.3f}", "dim")
    p_value = value.get("p_value")
    differs = isinstance(p_value, int | float) and p_value < SIGNIFICANT
    return text.append(" *" if differs else "  ")
