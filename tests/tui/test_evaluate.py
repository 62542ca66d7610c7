"""The evaluate screen: tables of experiments, bars, comparisons, and the report."""

import asyncio
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lorajax.errors import LorajaxError
from lorajax.service.asking import Question
from lorajax_tui.screens.evaluate import EvaluateScreen
from lorajax_tui.widgets.methods import Methods
from tests.tui.conftest import MakeApp
from tests.tui.driving import screen_text, until, words
from tests.tui.questions import Answering, telling


def row(method: str, score: float, loss: float, p: float | None) -> dict[str, Any]:
    values = {"triplet_accuracy": score, "triplet_loss": loss}
    return {"method": method} | {
        name: {"mean": value, "std": 0.01, "p_value": p}
        for name, value in values.items()
    }


class Evaluator:
    """Answers as `lorajax evaluate` would, and remembers the questions."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, words: Sequence[str]) -> dict[str, Any]:
        self.asked.append(list(words))
        if "--experiment" in words and words[words.index("--experiment") + 1] == "2":
            raise LorajaxError("nothing was measured of triplets by raters", "name it")
        against = words[words.index("--against") + 1] if "--against" in words else "raw"
        rows = [row("raw", 0.7, 0.2, None), row("[b]trained", 0.9, 0.3, 0.01)]
        facts = {"truth": "styles", "n_queries": 6, "seeds": 2, "against": against}
        return {**facts, "rows": rows}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with one finished run, one without a table, and a study."""
    for name, document in (("done", {"rows": [{}]}), ("untrained", {"rows": []})):
        (tmp_path / "runs" / name).mkdir(parents=True)
        file = tmp_path / "runs" / name / "results.json"
        file.write_text(json.dumps(document))
    (tmp_path / "runs" / "study").mkdir()
    (tmp_path / "runs" / "study" / "study.json").write_text("{}")
    return tmp_path / "runs"


def methods(pilot) -> list[str]:
    table = pilot.app.screen.query_one(Methods)
    return [str(table.get_row_at(i)[0]).strip() for i in range(table.row_count)]


async def test_tables_are_shown_sorted_and_compared(
    make_app: MakeApp, runs: Path
) -> None:
    evaluator = Evaluator()
    app = make_app(question=telling(evaluator))
    async with app.run_test(size=(140, 44)) as pilot:
        await pilot.press("6")
        await until(pilot, lambda: isinstance(app.screen, EvaluateScreen))
        await until(pilot, lambda: app.screen.query_one(Methods).row_count == 2)
        assert "untrained" not in words(pilot, "#measured")
        assert methods(pilot) == ["[b]trained", "◆ raw"]
        assert "0.900 ±0.010 *" in screen_text(pilot)
        await pilot.press("m")  # of a loss the smaller is the better
        assert words(pilot, "#about-table").startswith("triplet_loss · styles · 6 que")
        assert methods(pilot) == ["◆ raw", "[b]trained"]
        await pilot.press("m", "s")
        assert methods(pilot) == ["◆ raw", "[b]trained"]
        table = app.screen.query_one(Methods)
        table.move_cursor(row=1)
        await pilot.press("a")
        await until(pilot, lambda: methods(pilot) == ["raw", "◆ [b]trained"])
        assert evaluator.asked[-1][-2:] == ["--against", "[b]trained"]


async def test_an_experiment_that_was_not_measured_says_so(
    make_app: MakeApp, runs: Path
) -> None:
    evaluator = Evaluator()
    app = make_app(question=telling(evaluator))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("6")
        await until(pilot, lambda: bool(app.screen.query(Methods)))
        await until(pilot, lambda: app.screen.query_one(Methods).row_count == 2)
        await pilot.press("x", "x")
        await until(pilot, lambda: "Nothing to show" in screen_text(pilot))
        assert "triplets by raters" in screen_text(pilot)
        count = len(evaluator.asked)
        await pilot.click("#experiment-all")
        await until(pilot, lambda: "Nothing to show" not in screen_text(pilot))
        assert len(evaluator.asked) == count  # what is known is not asked again


async def test_the_report_is_written_and_opened(
    make_app: MakeApp, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator, seen = Evaluator(), []
    app = make_app(question=telling(evaluator))
    monkeypatch.setattr(app, "open_url", lambda url: seen.append(url))
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("6")
        await until(pilot, lambda: bool(app.screen.query(Methods)))
        await until(pilot, lambda: app.screen.query_one(Methods).row_count == 2)
        await pilot.press("h")
        await until(pilot, lambda: bool(seen))
        path = Path(evaluator.asked[-1][1])
        assert seen == [(path / "report.html").as_uri()]
        assert evaluator.asked[-1][::2] == ["report", "--out"]


async def test_without_results_it_says_what_to_do(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("6")
        await until(pilot, lambda: "Nothing has been measured" in screen_text(pilot))
        await pilot.press("x", "m", "s", "a", "h", "r")
        assert "Press 5" in screen_text(pilot)


async def test_metrics_of_strangers_do_nothing_to_the_screen(
    make_app: MakeApp, runs: Path
) -> None:
    odd = {"[/b]\x1b]0;owned": {"mean": 0.5}, "\x1b[31mred": {"mean": 0.25}}
    facts = {"truth": "styles", "n_queries": 6, "seeds": 2, "against": "raw"}
    app = make_app(
        question=telling(lambda words: {**facts, "rows": [{"method": "raw"} | odd]})
    )
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("6")
        await until(pilot, lambda: bool(app.screen.query(Methods)))
        await until(pilot, lambda: app.screen.query_one(Methods).row_count == 1)
        assert "[/b]]0;owned · styles" in words(pilot, "#about-table")
        assert "[31mred" in screen_text(pilot) and "\x1b" not in screen_text(pilot)


async def test_one_table_is_reckoned_at_a_time_and_none_after_the_end(
    make_app: MakeApp, runs: Path
) -> None:
    answering, asked = Answering({"rows": []}, seconds=(30,)), []

    def question(words: Sequence[str]) -> Question:
        asked.append(answering(words))
        return asked[-1]

    app = make_app(question=question)
    begun = time.monotonic()
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("6")
        await until(pilot, lambda: len(asked) == 1)
        for count in (2, 3):
            await pilot.press("x")
            await until(pilot, lambda c=count: len(asked) == c)
        await until(pilot, lambda: all(one._process.poll() for one in asked[:-1]))
        assert asked[-1]._process.poll() is None
        assert "Nothing to show" not in screen_text(pilot)
    await asyncio.get_running_loop().shutdown_default_executor()
    assert asked[-1]._process.poll() and time.monotonic() - begun < 20


async def test_what_was_measured_again_is_reckoned_again(
    make_app: MakeApp, runs: Path
) -> None:
    evaluator = Evaluator()
    app = make_app(question=telling(evaluator))
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("6")
        await until(pilot, lambda: bool(app.screen.query(Methods)))
        await until(pilot, lambda: app.screen.query_one(Methods).row_count == 2)
        (path,) = {Path(asked[1]) for asked in evaluator.asked}
        await pilot.press("1")
        for file in path.glob("*.json"):
            os.utime(file, (1, 2_000_000_000))
        await pilot.press("6")
        await until(pilot, lambda: len(evaluator.asked) == 2)
        assert {Path(asked[1]) for asked in evaluator.asked} == {path}


async def test_a_table_that_is_not_known_any_more_is_not_drawn(
    make_app: MakeApp, runs: Path
) -> None:
    app = make_app(question=telling(Evaluator()))
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("6")
        await until(pilot, lambda: isinstance(app.screen, EvaluateScreen))
        screen = app.screen
        assert isinstance(screen, EvaluateScreen)
        await until(pilot, lambda: len(methods(pilot)) == 2)
        screen.on_resize()
        screen.action_reload()
        await pilot.pause()
        await until(pilot, lambda: len(methods(pilot)) == 2)
