"""What a run measured on unseen styles, as its `results.json` tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from lorajax_tui.words import safe

# The other metrics are in the report; all of them would leave no room for their names.
METRICS = ("triplet_accuracy", "map@10", "mrr", "ndcg@10")
TRAINED = "encoder trained"
_HEAD = "on unseen styles"


def rows_of(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a results file that look as they should."""
    rows = results.get("rows")
    rows = rows if isinstance(rows, list) else []
    return [row for row in rows if isinstance(row, dict) and "method" in row]


def trained_row(results: Mapping[str, Any]) -> dict[str, Any]:
    """The row of the encoder itself; {} where there is none."""
    return next((r for r in rows_of(results) if r["method"] == TRAINED), {})


def results_table(rows: list[dict[str, Any]], room: int) -> Table:
    """Methods by metrics, mean ± standard deviation over the splits.

    Args:
      room: cells; metrics that do not fit whole are left out from the right.
    """
    metrics = [name for name in METRICS if isinstance(rows[0].get(name), dict)]
    named = max(len(_HEAD), *(len(str(row["method"])) for row in rows)) + 1
    while len(metrics) > 1 and named + sum(map(_width, metrics)) > room:
        metrics.pop()
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column(_HEAD, no_wrap=True)
    for metric in metrics:
        table.add_column(Text(safe(metric)), justify="right")
    for row in rows:
        cells = [mean_text(row.get(metric)) for metric in metrics]
        table.add_row(Text(safe(str(row["method"]))), *cells)
    return table


def _width(metric: str) -> int:
    return max(len(metric), len("0.750 ±0.010")) + 1


def mean_text(value: Any) -> Text:
    """`0.750 ±0.010`; a dash where there is no number."""
    if not isinstance(value, dict) or not isinstance(value.get("mean"), int | float):
        return Text("–")
    spread = value.get("std")
    text = Text(f"{value['mean']:.3f}")
    return text.append(f" ±{spread:.3f}", "dim") if isinstance(spread, float) else text
