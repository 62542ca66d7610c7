"""Asking for folders and files: what is typed, slow disks, and names of strangers."""

import errno
import threading
from pathlib import Path

import pytest
from textual.widgets import Button, Input

from lorajax.errors import ConfigError
from lorajax.service.learning.settings import read_settings, save_settings
from lorajax_tui.screens.index_dialog import IndexDialog
from lorajax_tui.screens.plan_dialog import PlanDialog
from lorajax_tui.screens.save_dialog import SaveDialog
from lorajax_tui.widgets import folders
from lorajax_tui.widgets.folders import Folders, completed
from tests.tui.conftest import MakeApp
from tests.tui.driving import opened, screen_text, until, words

ODD = "a\x1b]0;owned\x07b"


async def dialog(pilot, folder: str = "") -> Input:
    """Opens the dialog that asks for a folder; its line."""
    await opened(pilot)
    pilot.app.remember(folder=folder)
    await pilot.press("i")
    await until(pilot, lambda: isinstance(pilot.app.screen, IndexDialog))
    return pilot.app.screen.query_one(Input)


async def test_whatever_is_typed_of_a_folder_can_be_typed_on(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(100, 40)) as pilot:
        line = await dialog(pilot)
        for typed in ("~nobody", "/" + "a" * 300):
            line.value = typed
            line.focus()
            await pilot.press("end", "z", "enter")
            assert line.value == f"{typed}z"
            await until(pilot, lambda: "no such folder" in words(pilot, "#complaint"))
        assert isinstance(app.screen, IndexDialog)


async def test_a_remembered_folder_on_a_disk_that_is_away(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.stat

    def stat(self: Path, **more: bool):
        if "away" in self.parts:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return real(self, **more)

    monkeypatch.setattr(Path, "stat", stat)
    app = make_app()
    async with app.run_test(size=(100, 40)) as pilot:
        await dialog(pilot, str(tmp_path / "away" / "set" / "loras"))
        tree = app.screen.query_one(Folders)
        await until(pilot, lambda: str(tree.path) == str(tmp_path))


async def test_a_disk_that_hangs_holds_one_thread_and_answers_once(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, waiting, real = threading.Event(), [], folders.is_folder

    def slow(path: Path) -> bool:
        if path.name == "slow":
            waiting.append(path)
            gate.wait(10)
        return real(path)

    (tmp_path / "slow").mkdir()
    monkeypatch.setattr(folders, "is_folder", slow)
    monkeypatch.setattr("lorajax_tui.screens.index_dialog.is_folder", slow)
    app = make_app()
    async with app.run_test(size=(100, 40)) as pilot:
        line = await dialog(pilot, str(tmp_path / "loras" / "ink"))
        line.value = f"{tmp_path}/s"
        line.focus()
        await pilot.press("end", *"low")
        await until(pilot, lambda: bool(waiting))
        await pilot.pause(0.1)
        assert len(waiting) == 1
        for count in (2, 3):
            await pilot.press("enter")
            await until(pilot, lambda c=count: len(waiting) == c)
        gate.set()
        await until(pilot, lambda: not isinstance(app.screen, IndexDialog))
        await until(pilot, lambda: app.state.folder == str(tmp_path / "slow"))
        await pilot.pause(0.1)
        assert len(app.screen_stack) == 1


async def test_folders_of_strangers_do_nothing_to_the_screen(
    make_app: MakeApp, tmp_path: Path
) -> None:
    for name in (ODD, "zinnober"):
        (tmp_path / "disk" / name).mkdir(parents=True)
    app = make_app()
    async with app.run_test(size=(100, 40)) as pilot:
        line = await dialog(pilot, str(tmp_path / "disk" / "x"))
        tree = app.screen.query_one(Folders)
        await until(pilot, lambda: "]0;owned" in screen_text(pilot))
        assert "\x1b" not in screen_text(pilot)
        tree.focus()
        await pilot.press("down")
        assert "\x1b" not in line.value
        await pilot.press("down")
        assert line.value == str(tmp_path / "disk" / "zinnober")
    start = str(tmp_path / "disk")
    assert completed(f"{start}/") == f"{start}/zinnober"
    assert completed(f"{start}/a") is None


async def test_a_plan_says_that_it_is_written_and_closes_its_own_dialog(
    make_app: MakeApp, tmp_path: Path
) -> None:
    gate, done, target = threading.Event(), [], tmp_path / "plan.csv"

    def write(path: Path) -> int:
        gate.wait(10)
        return 3

    def written(path: Path, rows: int) -> None:
        done.append((path, rows))

    app = make_app()
    async with app.run_test(size=(100, 40)) as pilot:
        await opened(pilot)
        plan = PlanDialog(2, write, target, written)
        app.push_screen(plan)
        await until(pilot, lambda: app.screen is plan)
        await pilot.press("enter", "escape", "i")
        await until(pilot, lambda: isinstance(app.screen, IndexDialog))
        assert not done
        gate.set()
        await until(pilot, lambda: done == [(target, 3)])
        await pilot.pause()
        assert isinstance(app.screen, IndexDialog)


async def test_a_name_for_a_file_that_no_disk_can_hold(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "[AI] loras").mkdir()
    monkeypatch.chdir(tmp_path / "[AI] loras")
    config, asked = Path("base.yaml"), []
    config.write_text("# Mine.\n")
    app = make_app()
    async with app.run_test(size=(160, 40)) as pilot:
        await opened(pilot)
        app.push_screen(SaveDialog(Path("configs"), "x" * 300), asked.append)
        await until(pilot, lambda: isinstance(app.screen, SaveDialog))
        assert "[AI" in words(pilot, ".dialog-text")
        await pilot.press("enter")
        await until(pilot, lambda: asked == [Path("configs", "x" * 300 + ".yaml")])
    with pytest.raises(ConfigError, match="File name too long"):
        save_settings(read_settings(config), asked[0])


async def test_all_of_the_dialog_for_a_folder_is_in_sight_on_a_small_screen(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        line = await dialog(pilot)
        line.value = "/no such folder"
        line.focus()
        await pilot.press("enter")
        await until(pilot, lambda: "no such folder." in screen_text(pilot))
        box = app.screen.query_one(".dialog").region
        for button in app.screen.query(Button):
            assert button.region in box.shrink((1, 1, 1, 1))
            assert str(button.label) in screen_text(pilot)
        assert app.screen.query_one(Folders).size.height >= 3
