"""The train screen: start, watch, stop, continue, and find again."""

import asyncio
import json
import threading
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input, OptionList, Select

from lorajax.service.learning import runs as runs_service
from lorajax.service.learning.runs import list_runs, read_run, stop_run
from lorajax.training.run_dir import Status
from lorajax_tui.screens import log, train
from lorajax_tui.screens.train import TrainScreen
from lorajax_tui.widgets.curve_plot import CurvePlot
from lorajax_tui.widgets.run_list import MOST_MARKED, RunList
from tests.tui.conftest import MakeApp
from tests.tui.driving import screen_text, until, words


def put_config(folder: Path) -> Path:
    """A configuration file of one's own."""
    path = folder / "mine.yaml"
    path.write_text("# Mine.\n", encoding="utf-8")
    return path


async def start(app, pilot, overrides: str) -> TrainScreen:
    """Opens the train screen and starts a run."""
    await pilot.press("5")
    screen = app.screen
    assert isinstance(screen, TrainScreen)
    await until(pilot, lambda: bool(screen.query("#config")))
    screen.query_one("#overrides", Input).value = overrides
    await pilot.click("#start")
    await until(pilot, lambda: screen.chosen is not None)
    return screen


async def test_a_run_is_started_watched_and_stopped(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await start(app, pilot, "training.steps=400 pause=0.02")
        await until(pilot, lambda: "running" in words(pilot, "#run-head"))
        await until(pilot, lambda: "/400" in words(pilot, "#run-head"))
        plot = screen.query_one("#loss", CurvePlot)
        await until(pilot, lambda: bool(plot._datasets))
        await until(pilot, lambda: "left" in words(pilot, "#run-head"))
        await pilot.press("1", "5")  # it stays responsive meanwhile
        await pilot.press("s")
        await until(pilot, lambda: "stopped" in words(pilot, "#run-head"))
        await pilot.press("c")
        await until(pilot, lambda: "running" in words(pilot, "#run-head"))
        assert screen.chosen is not None
        stop_run(screen.chosen)
        path = screen.chosen
        await until(pilot, lambda: read_run(path).state == "stopped")


async def test_a_run_survives_the_application_and_is_found_again(
    make_app: MakeApp, tmp_path: Path
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await start(app, pilot, "training.steps=100000 pause=0.01")
        await until(pilot, lambda: "running" in words(pilot, "#run-head"))
    (run,) = list_runs(tmp_path / "runs")
    assert run.state == "running"
    again = make_app()
    async with again.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(again.screen, TrainScreen))
        runs = again.screen.query_one("#runs", OptionList)
        await until(pilot, lambda: runs.option_count == 1)
        await until(pilot, lambda: run.name in words(pilot, "#run-head"))
        await pilot.press("s")
        await until(pilot, lambda: "stopped" in words(pilot, "#run-head"))


async def test_a_finished_run_shows_its_results(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await start(app, pilot, "training.steps=5")
        await until(pilot, lambda: "finished" in words(pilot, "#run-head"))
        assert "5/5" in words(pilot, "#run-head")
        await until(pilot, lambda: "encoder trained" in screen_text(pilot))
        assert "0.750 ±0.010" in screen_text(pilot)
        await pilot.press("c")
        await until(pilot, lambda: bool(app._notifications))
        assert any("cannot be continued" in n.title for n in app._notifications)
        assert screen.query_one("#accuracy", CurvePlot).border_subtitle


async def test_a_run_that_fails_says_why(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await start(app, pilot, "fake=crash")
        await until(pilot, lambda: "failed" in words(pilot, "#run-head"))
        await until(pilot, lambda: "lerning_rate" in screen_text(pilot))


async def test_wrong_overrides_are_refused_at_once(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "No runs yet" in screen_text(pilot))
        screen = app.screen
        assert not isinstance(screen.query_one("#config", Select).value, type(None))
        for typed, said in (("steps 3", "expected an override"), ("'", "overrides")):
            screen.query_one("#overrides", Input).value = typed
            screen.query_one("#overrides", Input).focus()
            await pilot.press("enter")
            await until(
                pilot,
                lambda said=said: any(said in n.title for n in app._notifications),
            )
        assert list_runs(app.runs) == []


def put_run(folder: Path, config: str = "", **status: object) -> Path:
    """A run as a trainer might have left it."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(config)
    whole = asdict(Status()) | status
    (folder / "status.json").write_text(json.dumps(whole))
    return folder


async def test_a_run_that_never_began_waits_for_nothing(
    make_app: MakeApp, tmp_path: Path
) -> None:
    put_run(tmp_path / "runs" / "one", state="failed", message="no such folder")
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "✗ failed  one" in screen_text(pilot))
        assert "no such folder" in screen_text(pilot)
        assert "waiting for" not in screen_text(pilot)


async def test_a_run_that_goes_on_keeps_its_curves_and_says_so(
    make_app: MakeApp, tmp_path: Path
) -> None:
    path = put_run(tmp_path / "runs" / "one", stage="fitting the basis")
    with open(path / "metrics.jsonl", "w") as stream:
        for step in range(1, 102):
            told = {"kind": "train", "step": step, "split": 0, "loss": 0.5}
            stream.write(json.dumps(told) + "\n")
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "goes on after step 101" in screen_text(pilot))
        assert "waiting for" not in screen_text(pilot)
        assert app.screen.query_one("#plots").display


async def test_settings_of_strangers_do_nothing_to_the_screen(
    make_app: MakeApp, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        key = '"[/x]\\e]0;owned"'
        put_run(tmp_path / "runs" / name, f"{key}: {name}\n", state="finished")
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: bool(app.screen.query(RunList)))
        runs = app.screen.query_one(RunList)
        await until(pilot, lambda: runs.option_count == 2)
        await pilot.press("space", "down", "space")
        await until(pilot, lambda: "[/x]]0;owned" in words(pilot, "#runs-table"))
        assert "\x1b" not in screen_text(pilot)


async def test_odd_states_and_names_of_configurations_stop_nothing(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "my[red]one[x.yaml").write_text("# Mine.\n")
    monkeypatch.chdir(tmp_path)
    put_run(tmp_path / "runs" / "odd", state="paused")
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "odd" in words(pilot, "#runs"))
        await pilot.press("n", "enter")
        await until(pilot, lambda: "my[red]one[x" in screen_text(pilot))


async def test_a_disk_that_hangs_holds_one_thread_of_each_kind(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        put_run(tmp_path / "runs" / name, state="finished")
    gate, calls = threading.Event(), Counter()

    def slow(name: str) -> None:
        real = getattr(runs_service, name)

        def waiting(*args: Any) -> Any:
            calls[name] += 1
            gate.wait(10)
            return real(*args)

        monkeypatch.setattr(runs_service, name, waiting)

    monkeypatch.setattr(train, "_LIST_SECONDS", 0.05)
    monkeypatch.setattr(train, "_WATCH_SECONDS", 0.05)
    monkeypatch.setattr(log, "_SECONDS", 0.05)
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: bool(app.screen.query(RunList)))
        runs = app.screen.query_one(RunList)
        await until(pilot, lambda: runs.option_count == 2)
        await until(pilot, lambda: "finished" in words(pilot, "#run-head"))
        names = ("list_runs", "read_results", "read_log")
        for name in names[:2]:
            slow(name)
        await pilot.press("down")
        await asyncio.sleep(0.5)
        slow("read_log")
        await pilot.press("o")
        await asyncio.sleep(0.5)
        assert calls == dict.fromkeys(names, 1)
        gate.set()
        await pilot.press("escape")
        other = runs.get_option_at_index(1).id
        await until(pilot, lambda: Path(str(other)).name in words(pilot, "#run-head"))


async def test_a_list_of_runs_that_began_before_a_start_changes_no_choice(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await start(app, pilot, "training.steps=4")
        first = screen.chosen
        assert first is not None
        await until(pilot, lambda: "finished" in words(pilot, "#run-head"))
        gate, listing = threading.Event(), threading.Event()
        listed, real = list_runs(app.runs), runs_service.list_runs

        def slow(folder: Path) -> list[runs_service.Run]:
            listing.set()
            gate.wait(30)
            monkeypatch.setattr(runs_service, "list_runs", real)
            return listed

        monkeypatch.setattr(runs_service, "list_runs", slow)
        await until(pilot, listing.is_set)
        monkeypatch.setattr(runs_service, "list_runs", lambda folder: real(folder))
        await pilot.click("#start")
        await until(pilot, lambda: screen.chosen != first)
        gate.set()
        second = screen.chosen
        await until(pilot, lambda: len(screen.query_one(RunList).options) == 2)
        await pilot.pause(0.2)
        assert screen.chosen == second


async def test_runs_that_cannot_be_read_are_said_where_they_would_stand(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(folder: Path) -> list[runs_service.Run]:
        raise OSError(5, "Input/output error")

    real = runs_service.list_runs
    monkeypatch.setattr(runs_service, "list_runs", lost)
    monkeypatch.setattr(train, "_LIST_SECONDS", 0.05)
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "cannot be read" in screen_text(pilot))
        assert "Looking for runs" not in screen_text(pilot)
        monkeypatch.setattr(runs_service, "list_runs", real)
        await until(pilot, lambda: "No runs yet" in screen_text(pilot))


async def test_a_ninth_run_beside_others_is_refused_in_words(
    make_app: MakeApp, tmp_path: Path
) -> None:
    for i in range(MOST_MARKED + 1):
        folder = put_run(tmp_path / "runs" / f"run-{i}", state="finished")
        (folder / "config.yaml").unlink(missing_ok=True)
        (folder / "launch.json").unlink(missing_ok=True)
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: bool(app.screen.query(RunList)))
        runs = app.screen.query_one(RunList)
        await until(pilot, lambda: runs.option_count == MOST_MARKED + 1)
        assert "ago" not in screen_text(pilot)  # nobody knows when they began
        runs.focus()
        await pilot.press(*("space", "down") * MOST_MARKED, "space")
        await until(pilot, lambda: bool(app._notifications))
        (said,) = app._notifications
        assert said.title == "At most 8 runs stand side by side"
        assert len(runs.marked) == MOST_MARKED


async def test_a_run_is_continued_once_and_said_to_be_at_once(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put_run(tmp_path / "runs" / "one", state="stopped")
    gate, asked = threading.Event(), []

    def slow(path: Path, command: Any) -> Path:
        asked.append(path)
        gate.wait(10)
        return path

    monkeypatch.setattr(runs_service, "resume_run", slow)
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "stopped" in words(pilot, "#run-head"))
        await pilot.press("c", "c", "c")
        assert [n.title for n in app._notifications] == ["Continuing one"]
        await until(pilot, lambda: bool(asked))
        await pilot.press("c")
        gate.set()
        screen = app.screen
        assert isinstance(screen, TrainScreen)
        await until(pilot, lambda: not screen.is_at_work(f"resume {path}"))
        assert asked == [path]


async def test_a_run_that_goes_on_leaves_the_choice_where_it_is(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        put_run(tmp_path / "runs" / name, state="stopped")
    gate, done = threading.Event(), threading.Event()

    def slow(path: Path, command: Any) -> Path:
        gate.wait(10)
        done.set()
        return path

    monkeypatch.setattr(runs_service, "resume_run", slow)
    monkeypatch.setattr(train, "_LIST_SECONDS", 0.05)
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "stopped" in words(pilot, "#run-head"))
        screen = app.screen
        assert isinstance(screen, TrainScreen)
        runs = screen.query_one(RunList)
        first, second = (Path(str(option.id)) for option in runs.options)
        assert screen.chosen == first
        await pilot.press("c", "down")
        await until(pilot, lambda: second.name in words(pilot, "#run-head"))
        gate.set()
        await until(pilot, done.is_set)
        await pilot.pause(0.5)
        assert screen.chosen == second and runs.highlighted == 1
        assert second.name in words(pilot, "#run-head")
        screen.chosen = first  # as a start would do
        await until(pilot, lambda: runs.highlighted == 0)


@pytest.mark.parametrize(("width", "shown"), [(80, 4), (160, 8)])
async def test_facts_of_many_runs_keep_their_names(
    make_app: MakeApp, tmp_path: Path, width: int, shown: int
) -> None:
    for i in range(MOST_MARKED):
        folder = tmp_path / "runs" / f"base-with-a-long-name-{i}"
        put_run(folder, f"training: {{lr: {i}.5}}\n", state="finished")
    app = make_app()
    async with app.run_test(size=(width, 24)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: bool(app.screen.query(RunList)))
        runs = app.screen.query_one(RunList)
        await until(pilot, lambda: runs.option_count == MOST_MARKED)
        runs.focus()
        await pilot.press(*("space", "down") * MOST_MARKED)
        await until(pilot, lambda: "training.lr" in words(pilot, "#runs-table"))
        told = words(pilot, "#runs-table").splitlines()
        (settings,) = (line for line in told if line.startswith("training.lr"))
        assert len(settings.split()) == 1 + shown
        assert any(line.startswith("last triplet") for line in told)
        assert ("and 4 runs" in told[-1]) == (shown < MOST_MARKED)
