"""The form of settings: changed, checked, saved, started; and runs side by side."""

from pathlib import Path

import pytest
from textual.widgets import Input, Select

from lorajax.config import load_job
from lorajax.service.learning import settings as settings_service
from lorajax.service.learning.runs import list_runs
from lorajax_tui.screens.settings import SettingsScreen
from lorajax_tui.screens.train import TrainScreen
from lorajax_tui.widgets.run_list import RunList
from lorajax_tui.widgets.setting_list import SettingList
from tests.tui.conftest import MakeApp
from tests.tui.driving import screen_text, until, words
from tests.tui.holding import holding


async def open_form(app, pilot) -> SettingList:
    """Opens the form over the first configuration."""
    await pilot.press("5")
    await until(pilot, lambda: bool(app.screen.query("#config")))
    await pilot.press("e")
    await until(pilot, lambda: isinstance(app.screen, SettingsScreen))
    await until(pilot, lambda: app.screen.query_one(SettingList).option_count > 50)
    return app.screen.query_one(SettingList)


def choose(listed: SettingList, key: str) -> None:
    listed.highlighted = listed.get_option_index(key)


async def test_a_setting_is_checked_while_it_is_typed(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(140, 44)) as pilot:
        listed = await open_form(app, pilot)
        choose(listed, "training.steps")
        await pilot.pause()
        assert "a whole number from 1" in words(pilot, "#setting-about")
        await pilot.press("enter", "ctrl+u", *"many")
        expected = "expected a whole number from 1"
        await until(pilot, lambda: expected in words(pilot, "#setting-wrong"))
        assert "1 to correct" in words(pilot, "#settings-head")
        await pilot.press("escape", "escape")  # to the list; not away from it
        assert isinstance(app.screen, SettingsScreen)
        assert any("1 setting to correct" in n.title for n in app._notifications)
        await pilot.press("u")
        assert words(pilot, "#settings-head") == "base"
        assert words(pilot, "#setting-wrong") == ""


async def test_edits_become_overrides(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        listed = await open_form(app, pilot)
        choose(listed, "encoder.start")
        await pilot.press("enter", "up", "enter")
        await until(pilot, lambda: "1 changed" in words(pilot, "#settings-head"))
        choose(listed, "collection.path")
        await pilot.press("enter", *"/my loras", "enter", "escape")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen))
        typed = app.screen.query_one("#overrides", Input).value
        assert typed == "'collection.path=/my loras' encoder.start=random"


async def test_one_form_opens_and_only_over_its_screen(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: bool(app.screen.query("#config")))
        with holding((settings_service, "read_settings")) as let_go:
            await pilot.press("e", "1")
            let_go()
            await pilot.pause(0.5)
            assert len(app.screen_stack) == 1
        await pilot.press("5")
        with holding((settings_service, "read_settings")) as let_go:
            await pilot.press("e", "e")
            let_go()
            await until(pilot, lambda: isinstance(app.screen, SettingsScreen))
            await pilot.pause(0.5)
            assert len(app.screen_stack) == 2


async def test_the_form_starts_what_it_was_opened_for(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs").mkdir()
    for name in ("mine", "other"):
        (tmp_path / "configs" / f"{name}.yaml").write_text("# Own.\n")
    monkeypatch.chdir(tmp_path)
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: bool(app.screen.query("#config")))
        select = app.screen.query_one("#config", Select)
        select.value = str(tmp_path / "configs" / "mine.yaml")
        with holding((settings_service, "read_settings")) as let_go:
            await pilot.press("e")
            select.value = str(tmp_path / "configs" / "other.yaml")
            let_go()
            await until(pilot, lambda: isinstance(app.screen, SettingsScreen))
        await pilot.press("f5")
        await until(pilot, lambda: len(list_runs(app.runs)) == 1)
        assert list_runs(app.runs)[0].name.startswith("mine")
        assert select.value == str(tmp_path / "configs" / "mine.yaml")


async def test_the_chosen_setting_stays_in_sight(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 50)) as pilot:
        listed = await open_form(app, pilot)
        choose(listed, "training.margin")

        def seen() -> str:
            lines = (listed.render_line(y) for y in range(listed.size.height))
            return "\n".join(line.text for line in lines)

        for height in (50, 18, 36, 20):
            await pilot.resize_terminal(100, height)
            await until(pilot, lambda h=height: listed.size.height < h)
            await until(pilot, lambda: "  margin  " in seen())


async def test_the_form_saves_and_starts(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        listed = await open_form(app, pilot)
        choose(listed, "training.steps")
        await pilot.press("enter", "ctrl+u", *"7", "enter", "ctrl+s")
        await until(pilot, lambda: bool(app.screen.query("#file-name")))
        app.screen.query_one("#file-name", Input).value = "../away"
        await pilot.press("enter")
        assert "without folders" in words(pilot, "#complaint")
        app.screen.query_one("#file-name", Input).value = "mine"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen))
        saved = tmp_path / "configs" / "mine.yaml"
        assert load_job(saved).training.steps == 7
        select = app.screen.query_one("#config", Select)
        await until(pilot, lambda: select.value == str(saved))
        listed = await open_form(app, pilot)
        assert words(pilot, "#settings-head") == "mine"
        choose(listed, "training.steps")
        await pilot.press("enter", "ctrl+u", *"9", "f5")
        await until(pilot, lambda: len(list_runs(app.runs)) == 1)
        await until(pilot, lambda: "9/9" in words(pilot, "#run-head"))


async def test_runs_stand_side_by_side(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(140, 44)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: bool(app.screen.query("#config")))
        for number, steps in enumerate(("20", "30"), 1):
            overrides = f"training.steps={steps} pause=0"
            app.screen.query_one("#overrides", Input).value = overrides
            await pilot.click("#start")
            await until(pilot, lambda n=number: len(list_runs(app.runs)) == n)
        runs = app.screen.query_one(RunList)
        await until(pilot, lambda: runs.option_count == 2)
        runs.focus()
        await until(pilot, lambda: "finished" in words(pilot, "#run-head"))
        await pilot.press("home", "space", "down", "space")
        await until(pilot, lambda: "training.steps" in screen_text(pilot))
        await until(pilot, lambda: "✓ finished 20/20" in screen_text(pilot))
        table = words(pilot, "#runs-table")
        assert "✓ finished 30/30" in table and "0.750 ±0.010" in table
        await pilot.press("o")
        await until(pilot, lambda: "Log of" in screen_text(pilot))
        await pilot.press("escape", "escape")
        await until(pilot, lambda: "20/20" in words(pilot, "#run-head"))
