"""Indexing beside the library: progress, refusals, failures, being stopped."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from textual.widgets import DirectoryTree, Input, Static

from lorajax.errors import LorajaxError
from lorajax.library import Library, Refusal
from lorajax.service.progress import Progress
from lorajax_tui.screens.index_dialog import IndexDialog, StopDialog
from lorajax_tui.screens.library import LibraryScreen
from lorajax_tui.widgets.index_strip import IndexStrip
from tests.tui.conftest import MakeApp
from tests.tui.driving import opened, screen_text, until, words


async def test_indexing_shows_progress_and_a_summary(
    make_app: MakeApp, tmp_path: Path
) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(pilot)
        await pilot.press("i")
        folder = app.screen.query_one("#folder", Input)
        tree = app.screen.query_one("#folders", DirectoryTree)
        await until(pilot, lambda: len(tree.root.children) > 0)
        tree.focus()
        await pilot.press("down")
        await until(pilot, lambda: Path(folder.value).is_dir())
        folder.focus()
        folder.value = str(tmp_path / "no such folder")
        await pilot.press("enter")
        await until(pilot, lambda: "no such folder" in screen_text(pilot))
        folder.value = str(tmp_path)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, LibraryScreen))
        strip = app.screen.query_one(IndexStrip)
        await until(pilot, lambda: "1.2 of 3.4 GB, 2/s · file" in str(strip.visual))
        await until(pilot, lambda: not strip.display)
        said = [f"{n.title} {n.message}" for n in app._notifications]
        assert "Indexed 3 added" in said
        left = "2 LoRAs without a vector in the new space Index their folders too."
        assert left in said
        assert "1 file could not be read Press x to see which, and why." in said
        assert app.state.folder == str(tmp_path)


async def test_refused_files_are_listed_with_their_reasons(make_app: MakeApp) -> None:
    app = make_app()
    with Library.open(app.library) as library:
        reason = "/loras/bad.safetensors: [bold]truncated[/bold]"
        library.refuse(Refusal("/loras/bad.safetensors", reason, "copy it again"))
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("x")
        await until(pilot, lambda: "1 file could not be read" in screen_text(pilot))
        text = screen_text(pilot)
        assert "[bold]truncated[/bold]" in text and "copy it again" in text
        await pilot.press("escape")
        assert isinstance(app.screen, LibraryScreen)


async def test_a_damaged_library_does_not_say_that_nothing_was_refused(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        app.library.write_bytes(b"no database at all" * 100)
        await pilot.press("x")
        await until(pilot, lambda: "damaged" in words(pilot, "#refused"))


async def test_indexing_can_fail_and_be_stopped(
    make_app: MakeApp, tmp_path: Path
) -> None:
    app = make_app()
    (tmp_path / "bad").mkdir()
    (tmp_path / "slow").mkdir()
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(pilot)
        await pilot.press("i")
        app.screen.query_one("#folder", Input).value = str(tmp_path / "bad")
        await pilot.press("enter")
        await until(pilot, lambda: bool(app._notifications))
        assert any("it went wrong" in n.title for n in app._notifications)
        await pilot.press("i")
        app.screen.query_one("#folder", Input).value = str(tmp_path / "slow")
        await pilot.press("enter")
        await until(pilot, lambda: getattr(app.screen, "_job", None) is not None)
        await pilot.press("i")
        assert "Stop indexing?" in str(app.screen.query(Static).first().visual)
        app.clear_notifications()
        await pilot.click("#stop")
        strip = app.screen.query_one(IndexStrip)
        await until(pilot, lambda: not strip.display)
        (said,) = app._notifications
        assert (said.title, said.severity) == ("Indexing was stopped", "information")


class SlowJob:
    """An indexing that takes a while to begin, and works until it is stopped."""

    begun: ClassVar[list["SlowJob"]] = []
    gate: ClassVar[threading.Event] = threading.Event()

    def __init__(self, dirs: Sequence[Path], library: Path) -> None:
        self.gate.wait(10)
        self.is_stopped = threading.Event()
        self.begun.append(self)

    def progress(self) -> Iterator[Progress]:
        self.is_stopped.wait(10)
        yield from ()

    def report(self) -> dict[str, Any]:
        raise LorajaxError("it was stopped")

    def cancel(self) -> None:
        self.is_stopped.set()


async def test_indexing_is_stopped_before_it_has_begun(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SlowJob.begun.clear()
    SlowJob.gate.clear()
    app = make_app()
    monkeypatch.setattr(app, "index_job", SlowJob)
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(pilot)
        await pilot.press("i")
        app.screen.query_one("#folder", Input).value = str(tmp_path)
        await pilot.press("enter")
        strip = app.screen_stack[0].query_one(IndexStrip)
        await until(pilot, lambda: strip.display)
        await pilot.press("i")
        assert not SlowJob.begun and isinstance(app.screen, StopDialog)
        await pilot.click("#stop")
        SlowJob.gate.set()
        await until(pilot, lambda: not strip.display)
        (job,) = SlowJob.begun
        assert job.is_stopped.is_set()
        await pilot.press("i")
        assert isinstance(app.screen, IndexDialog)
