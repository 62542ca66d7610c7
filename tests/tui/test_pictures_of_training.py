"""How the screens look that train and measure: empty, at work, and full."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lorajax_tui import words
from lorajax_tui.app import LorajaxApp
from lorajax_tui.screens.settings import SettingsScreen
from lorajax_tui.widgets.methods import Methods
from lorajax_tui.widgets.run_list import RunList
from lorajax_tui.widgets.setting_list import SettingList
from tests.tui import drawn
from tests.tui.drawn_runs import NOW, draw_results, draw_run, measured
from tests.tui.driving import screen_text, until
from tests.tui.picturing import DOCS, SMALL, Snapshots, both_sizes
from tests.tui.questions import telling

RUNS = Path("checkpoints")

pytestmark = pytest.mark.slow  # some ten seconds a screen in all its states


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., LorajaxApp]:
    """Builds an application over relative paths, at a fixed time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(words, "time", SimpleNamespace(time=lambda: NOW))

    def make(screen: str, **more: Any) -> LorajaxApp:
        made = LorajaxApp(drawn.LIBRARY, RUNS, Path("state.json"), **more)
        made.remember(screen=screen)
        made.animation_level = "none"
        return made

    return make


def draw_runs() -> None:
    """A run of every state, the newest first."""
    base = draw_run(RUNS / "base-1121-0915", 165, 240, state="finished", stage="done")
    draw_results(base)
    draw_run(RUNS / "paper-1121-1030", 90, 61, state="stopped", message="asked to stop")
    wrong = "configs/mine.yaml: training.steps: expected a whole number, found 'many'"
    failed = draw_run(RUNS / "mine-1120-1804", 1076, state="failed", message=wrong)
    (failed / "log.txt").write_text(f"reading 192 LoRAs\nerror: {wrong}\n")
    draw_run(RUNS / "ink-1121-1158", 2, 131, state="running", stage="training")


async def test_training(app, snapshot: Snapshots) -> None:
    drawn.draw_collection()
    draw_runs()
    async with app("train").run_test(size=DOCS) as pilot:
        await until(pilot, lambda: bool(pilot.app.screen.query(RunList)))
        runs = pilot.app.screen.query_one(RunList)
        await until(pilot, lambda: runs.option_count == 4)
        await snapshot(pilot, "train-running")
        await both_sizes(pilot, snapshot, "train-running")
        await pilot.press("j")
        await snapshot(pilot, "train-stopped")
        await pilot.press("j")
        await snapshot(pilot, "train", image="tui-train.svg")
        await both_sizes(pilot, snapshot, "train")
        await pilot.press("j")
        await snapshot(pilot, "train-failed")
        await pilot.press("o")
        await snapshot(pilot, "log")
        await pilot.press("escape", "g", "home", "space", "down", "down", "space")
        await until(pilot, lambda: "last loss" in screen_text(pilot))
        await snapshot(pilot, "train-side-by-side")


async def test_a_run_that_has_not_measured_yet(app, snapshot: Snapshots) -> None:
    said = "reading 192 LoRAs of lorajax-zoo-1"
    run = RUNS / "base-1121-1200"
    draw_run(run, 0, state="running", stage="features", message=said)
    async with app("train").run_test(size=SMALL) as pilot:
        await snapshot(pilot, "train-busy")


async def test_before_the_first_run(app, snapshot: Snapshots) -> None:
    async with app("train").run_test(size=SMALL) as pilot:
        await snapshot(pilot, "train-empty")
        await pilot.press("6")
        await snapshot(pilot, "evaluate-empty")


async def test_settings(app, snapshot: Snapshots) -> None:
    drawn.draw_collection()
    async with app("train").run_test(size=DOCS) as pilot:
        await until(pilot, lambda: bool(pilot.app.screen.query("#config")))
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, SettingsScreen))
        listed = pilot.app.screen.query_one(SettingList)
        await until(pilot, lambda: listed.option_count > 50)
        listed.highlighted = listed.get_option_index("training.steps")
        await pilot.press("enter", "ctrl+u", *"many")
        await snapshot(pilot, "settings")
        await both_sizes(pilot, snapshot, "settings")


async def test_evaluating(app, snapshot: Snapshots) -> None:
    drawn.draw_collection()
    draw_runs()
    (RUNS / "bench").mkdir()
    (RUNS / "bench" / "study.json").write_text("{}")
    for path, hours in ((RUNS / "bench" / "study.json", 1), (_results(), 2)):
        os.utime(path, (NOW, NOW - 3600 * hours))
    gate = threading.Event()

    def ask(words: Any) -> Any:
        gate.wait(30)
        return measured(words)

    async with app("evaluate", question=telling(ask)).run_test(size=DOCS) as pilot:
        await snapshot(pilot, "evaluate-busy")
        gate.set()
        await until(pilot, lambda: pilot.app.screen.query_one(Methods).row_count > 4)
        await snapshot(pilot, "evaluate", image="tui-evaluate.svg")
        await both_sizes(pilot, snapshot, "evaluate")


def _results() -> Path:
    return RUNS / "base-1121-0915" / "results.json"
