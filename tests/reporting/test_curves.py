"""Curves: what a run wrote, as lines."""

import json
from pathlib import Path

import pytest

from lorajax.reporting.axes import Axis, bounds, ticks
from lorajax.reporting.curves import MOST_POINTS, curves_section, read_curves, thinned
from tests.reporting.reading import read


def written(run: Path, *lines: object) -> Path:
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (run / "metrics.jsonl").write_text(text, encoding="utf-8")
    return run


def train(step: int, loss: float, split: int = 0) -> dict[str, object]:
    return {"kind": "train", "step": step, "split": split, "loss": loss}


def test_losses_and_validations_are_read_by_split(tmp_path: Path) -> None:
    validation = {"kind": "validation", "step": 2, "split": 1, "map@10": 0.5}
    silent = {**validation, "step": 3, "map@10": None}
    again = [train(1, 0.9), train(2, 0.8), train(2, 0.7)]  # a step measured twice
    run = written(tmp_path, *again, validation, silent, "no object", {"kind": 1})
    curves = read_curves(run)
    assert curves == {("loss", 0): {1: 0.9, 2: 0.7}, ("map@10", 1): {2: 0.5}}


def test_a_broken_line_ends_the_curves_and_no_file_is_none(tmp_path: Path) -> None:
    assert read_curves(tmp_path) == {}
    run = written(tmp_path, train(1, 0.5))
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write("{broken\n")
    assert read_curves(run) == {("loss", 0): {1: 0.5}}


def test_every_run_has_its_charts(tmp_path: Path) -> None:
    validation = {"kind": "validation", "step": 0, "split": 0, "ndcg@10": 0.25}
    run = written(tmp_path, train(1, 2.0), train(2, 1.0), train(1, 3.0, 1), validation)
    section = curves_section({"<run>": read_curves(run), "silent": {}})
    found = read(section.body)
    assert found.count["svg"] == 2 and found.count["polyline"] == 3
    assert "<run>" in found.text and "silent" not in found.text
    told = json.loads(found.attributes["svg"][0]["data-chart"])
    assert told["lines"][0] == {"name": "split 1", "points": [[1, 2], [2, 1]]}


def test_without_curves_the_section_says_why() -> None:
    section = curves_section({"run": {}})
    assert section.left_out and "nothing was trained" in section.lead


def test_long_curves_are_thinned_to_means() -> None:
    values = {step: float(step) for step in range(10 * MOST_POINTS)}
    points = thinned(values)
    assert len(points) == MOST_POINTS
    assert points[0] == (4.5, 4.5)
    assert thinned({3: 0.5}) == [(3, 0.5)]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 20.0, [0, 5, 10, 15, 20]),
        (0.81, 0.9, [0.82, 0.84, 0.86, 0.88, 0.9]),
        (-1.0, 1.0, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_equal_values_have_room_around_them() -> None:
    assert bounds([0.0, 0.0]) == (-1.0, 1.0)
    low, high = bounds([0.5])
    assert low < 0.5 < high
    assert Axis(0.0, 4.0, 100.0, 0.0).place(1.0) == 75.0
