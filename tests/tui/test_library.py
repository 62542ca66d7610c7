"""The library screen: browse, filter, sort, and its empty and failed states."""

import asyncio
import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.widgets import Input

from lorajax.errors import LorajaxError
from lorajax.library import Entry, Facts, Library
from lorajax.service.collection import library as service
from lorajax.service.collection import previews
from lorajax.service.likeness import comparing
from lorajax_tui.reading_turn import READING
from lorajax_tui.screens import browse
from lorajax_tui.screens.library import LibraryScreen
from lorajax_tui.widgets.collection_table import CollectionTable
from lorajax_tui.widgets.details import Details
from lorajax_tui.widgets.picture import Picture
from tests.tui.conftest import MakeApp
from tests.tui.driving import names, opened, screen_text, until, words
from tests.tui.holding import holding


async def test_the_collection_is_shown_with_details(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        table = await opened(pilot)
        assert names(table)[:3] == ["[red]Clay", "Ink line", "Ink wash"]
        await pilot.press("j")
        await until(pilot, lambda: screen_text(pilot).count("Ink line") >= 2)
        assert "6 LoRAs" in screen_text(pilot)


async def test_typing_filters_and_escape_clears(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        table = await opened(pilot)
        await pilot.press("slash", *"ink")
        await until(pilot, lambda: table.row_count == 3)
        assert set(names(table)) == {"Ink line", "Ink wash", "Watercolour"}
        await pilot.press("space", *"wash")
        assert names(table) == ["Ink wash"]
        assert "1 of 6" in screen_text(pilot)
        await pilot.press("enter")
        assert app.focused is table
        await pilot.press("escape")
        assert table.row_count == 6
        await pilot.press("slash", *'"ink wash"')
        assert names(table) == ["Ink wash"]
        await pilot.press("ctrl+u", *'"wash ink"')
        assert "Nothing fits" in screen_text(pilot)
        await pilot.press("enter", "p", "v", "e", "m")  # nobody sees what they mean
        assert app.pinned is None and isinstance(app.screen, LibraryScreen)
        await pilot.press("escape")
        assert "Ink wash" in screen_text(pilot)


async def test_rows_change_with_the_letter_not_after_it(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        table = await opened(pilot)
        app.screen.query_one("#filter", Input).value = "wash"
        assert names(table) == ["Ink wash"]  # and nothing was drawn before


async def test_the_cursor_stays_on_its_lora(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        table = await opened(pilot)
        await pilot.press("j", "j")
        key = table.key_at_cursor()
        await pilot.press("S")
        assert names(table) == sorted(names(table), key=str.lower, reverse=True)
        assert table.key_at_cursor() == key


async def test_weights_that_cannot_be_read_are_no_toast(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(library: Path, key: str) -> None:
        raise LorajaxError("[b]it has changed", "index again")

    monkeypatch.setattr(comparing, "strengths", changed)
    monkeypatch.setattr(browse, "_is_light", lambda entry: True)
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "⚠ [b]it has changed" in screen_text(pilot))
        details = app.screen.query_one(Details)
        details.show_picture(np.zeros((4, 4, 3), np.uint8))
        details.show(None)
        assert not details.query_one(Picture).display
        assert not app._notifications


async def test_a_file_that_is_read_long_keeps_nobody_waiting(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        with ThreadPoolExecutor(2) as threads, READING:
            asyncio.get_running_loop().set_default_executor(threads)
            table = await opened(pilot)
            for _ in range(3):
                await pilot.press("j")
                await pilot.pause(0.5)
            await pilot.press("slash", *"base=sdxl")
            await until(pilot, lambda: table.row_count == 2, 3)


async def test_disks_that_hang_hold_one_thread_and_the_last_look_is_shown(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, asked, pixels = threading.Event(), [], np.zeros((4, 4, 3), np.uint8)

    def hanging(entry: Entry) -> np.ndarray:
        asked.append(entry.facts.name)
        gate.wait(30)
        return pixels

    monkeypatch.setattr(previews, "preview", hanging)
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        with ThreadPoolExecutor(3) as threads:
            asyncio.get_running_loop().set_default_executor(threads)
            table = await opened(pilot)
            await until(pilot, lambda: len(asked) == 1)
            for _ in range(4):
                await pilot.press("j")
                await pilot.pause(0.5)
            name = names(table)[4]
            assert name in words(pilot, "#facts") and len(asked) == 1
            await pilot.press("slash", *"base=sdxl")
            await until(pilot, lambda: table.row_count == 2, 3)
            await pilot.press("escape")
            await until(pilot, lambda: table.row_count == 6)
            gate.set()
            picture = app.screen.query_one(Picture)
            await until(pilot, lambda: len(asked) > 1 and bool(picture.display))
            row = table.row_at_cursor()
            assert row is not None and asked[-1] == row["name"]


@pytest.mark.parametrize("there", [0, 1])  # 1: it goes away in between
def test_weights_on_a_disk_that_is_away_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: int
) -> None:
    file, real, asked = tmp_path / "ink.safetensors", os.stat, []
    file.write_bytes(b"ink")
    entry = Entry("k", Facts("ink", "sd15", norm=1.0), (str(file),))
    assert browse._is_light(entry)

    def stat(path: Any, **more: Any) -> os.stat_result:
        if str(path) == str(file):
            asked.append(path)
        if len(asked) > there:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return real(path, **more)

    monkeypatch.setattr(os, "stat", stat)
    assert not browse._is_light(entry)


async def test_the_first_page_leaves_the_focus_to_the_filter(make_app: MakeApp) -> None:
    app = make_app()
    with holding((service, "columns")) as let_go:
        async with app.run_test(size=(120, 36)) as pilot:
            await pilot.press("slash", *"oil")
            let_go()
            table = app.screen.query_one(CollectionTable)
            await until(pilot, lambda: table.row_count == 1)
            assert isinstance(app.focused, Input)


async def test_keys_and_clicks_sort(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        table = await opened(pilot)
        await pilot.press("s", "s", "s")
        assert "Rank ▲" in screen_text(pilot)
        ranks = [table.get_row_at(i)[3].plain for i in range(6)]
        assert ranks == ["0", "4", "8", "12", "16", "20"]
        await pilot.click(table, offset=(2, 0))
        assert "Name ▲" in screen_text(pilot)
        await pilot.click(table, offset=(2, 0))
        assert "Name ▼" in screen_text(pilot)


async def test_names_of_strangers_do_nothing_to_the_screen(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        text = screen_text(pilot)
        assert "[red]Clay" in text and "赛博朋克" in text and "Oil 油絵" in text
        widths = {strip.cell_length for strip in app.screen._compositor.render_strips()}
        assert widths == {80}


async def test_a_narrow_screen_shows_details_instead(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        details = app.screen.query_one("#details")
        browse = app.screen.query_one("#browse")
        assert not details.display and browse.display
        await pilot.press("d")
        assert details.display and not browse.display
        await pilot.press("d")
        await pilot.resize_terminal(160, 40)
        assert details.display and browse.display
        assert "Tags" in screen_text(pilot)


async def test_keys_reach_what_a_narrow_screen_shows(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        table = await opened(pilot)
        details = app.screen.query_one(Details)
        await pilot.press("d")
        await pilot.pause()
        assert app.focused is details
        await pilot.press("d", "down")
        await pilot.pause()
        assert app.focused is table and table.cursor_row == 1
        await pilot.press("d", "slash", *"none")
        await until(pilot, lambda: "Nothing fits" in screen_text(pilot))
        assert isinstance(app.focused, Input) and not details.display
        await pilot.press("escape", "down")
        await pilot.pause()
        assert app.focused is table and table.cursor_row > 0


async def test_details_with_the_focus_stay_where_the_screen_becomes_narrow(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=(140, 30)) as pilot:
        table = await opened(pilot)
        details = app.screen.query_one(Details)
        details.focus()
        await pilot.pause()
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert app.focused is details and details.display
        await pilot.press("d", "down")
        await pilot.pause()
        assert app.focused is table and table.display and table.cursor_row == 1


async def test_details_stay_while_the_library_is_read_anew(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        details, before = app.screen.query_one(Details), app.collection
        await pilot.press("d", "r")
        await until(pilot, lambda: app.collection is not before)
        assert app.focused is details and details.display
        app.library.write_bytes(b"no database at all" * 100)
        await pilot.press("r")
        await until(pilot, lambda: "cannot be opened" in screen_text(pilot))


async def test_a_library_that_is_not_there_invites(
    make_app: MakeApp, tmp_path: Path
) -> None:
    app = make_app(tmp_path / "none.sqlite")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Your library is empty" in screen_text(pilot))
        assert "Press i" in screen_text(pilot)


async def test_a_library_that_holds_nothing_invites(
    make_app: MakeApp, tmp_path: Path
) -> None:
    Library.open(tmp_path / "new.sqlite").close()
    app = make_app(tmp_path / "new.sqlite")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Your library is empty" in screen_text(pilot))
        await pilot.press("slash", *"ink", "enter", "s", "escape", "e", "d", "r")
        await until(pilot, lambda: "Your library is empty" in screen_text(pilot))
        for key, title in (
            ("2", "No LoRA is chosen yet"),
            ("3", "No map yet"),
            ("4", "Nothing to ask"),
            ("7", "Your library is empty"),
        ):
            await pilot.press(key)
            await until(pilot, lambda title=title: title in screen_text(pilot))
        assert not app._notifications


async def test_a_damaged_library_is_an_error_with_advice(
    make_app: MakeApp, tmp_path: Path
) -> None:
    path = tmp_path / "odd.sqlite"
    path.write_bytes(b"no database at all" * 100)
    app = make_app(path)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "cannot be opened" in screen_text(pilot))
        assert "damaged or foreign" in screen_text(pilot)
        await pilot.press("slash", "a", "escape", "s", "enter", "d", "d")


async def test_conditions_filter_with_words(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        table = await opened(pilot)
        await pilot.press("slash", *"rank>=8")
        await until(pilot, lambda: table.row_count == 4)
        assert "4 of 6" in screen_text(pilot)
        await pilot.press("space", *"water")
        await until(pilot, lambda: names(table) == ["Watercolour"])
        await pilot.press("ctrl+u", *"base=sdx")
        await until(pilot, lambda: "did you mean sdxl?" in screen_text(pilot))
        await pilot.press("l")
        await until(pilot, lambda: table.row_count == 2 and table.display)
        await pilot.press("escape")
        await until(pilot, lambda: table.row_count == 6)


async def test_an_older_reading_does_not_come_back(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, gate, calls = service.columns, threading.Event(), []

    def columns(*args: Any) -> dict[str, list[Any]]:
        found = real(*args)
        calls.append(1)
        if len(calls) == 1:
            gate.wait(20)
        return found

    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        table = await opened(pilot)
        monkeypatch.setattr(service, "columns", columns)
        app.load_collection()
        await until(pilot, lambda: len(calls) == 1)
        with Library.open(app.library) as library, library.transaction():
            library.execute("DELETE FROM loras WHERE name = ?", "Ink line")
        await pilot.press("r")
        await until(pilot, lambda: table.row_count == 5)
        gate.set()
        await pilot.pause(0.3)
        assert table.row_count == 5


async def test_where_it_is_strong_takes_a_line_a_block(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = [f"unet.down_blocks_{'x' * 30}.{i}" for i in range(3)]
    found = tuple(comparing.Strength(block, 1.0, 1.0) for block in blocks)
    monkeypatch.setattr(comparing, "strengths", lambda *asked: found)
    monkeypatch.setattr(browse, "_is_light", lambda entry: True)
    app = make_app()
    async with app.run_test(size=(120, 50)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "where it is strong" in screen_text(pilot))
        told = words(pilot, "#strengths").splitlines()
        assert len(told) == 1 + len(blocks)
        assert all(line.endswith("━" * 8 + " 100%") for line in told[1:])
