"""Loss and validation curves of every run, drawn from its `metrics.jsonl`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lorajax.reporting.axes import Axis, bounds, ticks
from lorajax.reporting.markup import Html, Section, element, joined, left_out
from lorajax.reporting.measured import WORDS
from lorajax.training.run_dir import read_metrics

KEY, TITLE = "curves", "Curves"
LOSS = "loss"
VALIDATED = ("triplet_accuracy", "map@10", "ndcg@10")
TITLES = {LOSS: "training loss"} | {m: f"validation {WORDS[m]}" for m in VALIDATED}
# Beyond this nothing is a loss or a step.
MOST = 1e12
MOST_POINTS, MOST_SPLITS = 200, 10
WIDTH, HEIGHT = 300, 180
LEFT, RIGHT, TOP, BOTTOM = 42.0, 290.0, 10.0, 154.0
# (what, split) → step → value.
Curves = dict[tuple[str, int], dict[int, float]]


def read_curves(run: Path) -> Curves:
    """What a run wrote while it trained.

    A run that died measures some steps a second time: the later value counts.
    """
    curves: Curves = {}
    try:
        for line, _ in read_metrics(run):
            if isinstance(line, dict):
                _take(curves, line)
    except (OSError, ValueError):
        pass  # what was read up to a broken line is still true
    return curves


def curves_section(runs: Mapping[str, Curves]) -> Section:
    """Two charts for every run: its loss, and what validation measured."""
    drawn = {run: curves for run, curves in runs.items() if curves}
    if not drawn:
        return left_out(KEY, TITLE, "nothing was trained, so there are no curves.")
    figures = [_figure(run, curves) for run, curves in drawn.items()]
    lead = (
        "Over steps, a line for each split, stronger for a later one. Validation LoRAs "
        "choose the step that is kept and are no part of the tables. Point at a chart "
        "to read values."
    )
    return Section(KEY, TITLE, lead, joined(figures))


def _take(curves: Curves, line: Mapping[str, Any]) -> None:
    step, split = line.get("step"), line.get("split", 0)
    wanted = {"train": (LOSS,), "validation": VALIDATED}.get(str(line.get("kind")))
    if not (isinstance(step, int) and isinstance(split, int) and wanted):
        return
    if not 0 <= step < MOST:
        return
    for what in wanted:
        value = line.get(what)
        if isinstance(value, int | float) and abs(value) < MOST:
            curves.setdefault((what, split), {})[step] = float(value)


def _figure(run: str, curves: Curves) -> Html:
    kinds = [kind for kind in TITLES if any(what == kind for what, _ in curves)]
    charts = [
        chart(
            TITLES[what],
            {
                f"split {split + 1}": values
                for (name, split), values in sorted(curves.items())
                if name == what and split < MOST_SPLITS
            },
        )
        for what in kinds
    ]
    grid = element("div", *charts, class_="charts")
    return joined([element("h3", run), grid])


def chart(title: str, lines: Mapping[str, Mapping[int, float]]) -> Html:
    """Lines over steps, with what the page's script needs to tell values."""
    thin = {name: thinned(values) for name, values in lines.items()}
    steps = [step for points in thin.values() for step, _ in points]
    values = [value for points in thin.values() for _, value in points]
    x = Axis(*bounds([0.0, *steps]), LEFT, RIGHT)
    y = Axis(*bounds(values), BOTTOM, TOP)
    paths = [
        element(
            "polyline",
            points=" ".join(f"{x.place(s)},{y.place(v)}" for s, v in points),
            class_="line",
            style=f"stroke-opacity:{_opacity(i, len(thin))}",
        )
        for i, points in enumerate(thin.values())
    ]
    told = {
        "axis": [x.low, x.high, LEFT, RIGHT],
        "lines": [{"name": n, "points": points} for n, points in thin.items()],
    }
    drawing = element(
        "svg",
        _grid(x, y),
        *paths,
        element("line", class_="cursor", y1=TOP, y2=BOTTOM, x1=-9, x2=-9),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=title,
        data_chart=json.dumps(told, separators=(",", ":")),
    )
    return element("figure", element("figcaption", title), drawing)


def thinned(values: Mapping[int, float]) -> list[tuple[float, float]]:
    """Points by step; of very many, means of as many neighbours each."""
    points = np.array(sorted(values.items()), float)
    if len(points) <= MOST_POINTS:
        parts = points[:, None]
    else:
        parts = np.array_split(points, MOST_POINTS)
    means = (part.mean(0).tolist() for part in parts)
    return [(round(step, 1), float(f"{value:.5g}")) for step, value in means]


def _grid(x: Axis, y: Axis) -> Html:
    marks = []
    for value in ticks(y.low, y.high):
        at = y.place(value)
        marks.append(element("line", class_="grid", x1=LEFT, x2=RIGHT, y1=at, y2=at))
        label = f"{value:g}"
        marks.append(element("text", label, class_="y", x=LEFT - 6, y=at + 4))
    for value in ticks(x.low, x.high, 4):
        at = x.place(value)
        marks.append(element("text", f"{value:g}", class_="x", x=at, y=BOTTOM + 18))
    return joined(marks)


def _opacity(i: int, count: int) -> float:
    return round(0.4 + 0.6 * (i + 1) / count, 2)
