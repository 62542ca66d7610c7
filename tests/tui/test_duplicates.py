"""The duplicates screen: what is one, why, and a list to look through."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import Input

from lorajax.export.convert import convert_file
from lorajax.library import Library
from lorajax.service.collection import library as service
from lorajax.service.collection.indexing import index_folders
from lorajax.service.likeness.duplicates import (
    Group,
    Kind,
    Ladder,
    copies_of,
    find_duplicates,
)
from lorajax.service.likeness.ladder_documents import ladder_document, read_ladder
from lorajax_tui.screens.compare import CompareScreen
from lorajax_tui.screens.duplicates import DuplicatesScreen
from lorajax_tui.screens.neighbours import NeighboursScreen
from lorajax_tui.widgets.member_table import MemberTable
from lorajax_tui.words import fitted, size
from tests.library.duplicates.variants import read, save, scaled
from tests.tui.conftest import MakeApp
from tests.tui.driving import opened, screen_text, until, words
from tests.tui.ladders import NEAR, QUICK, WHOLE, answering
from tests.tui.questions import Answering

REAL = Path(__file__).parents[1] / "data" / "real" / "lora_disney.safetensors"


async def searched(app, pilot) -> DuplicatesScreen:
    """Opens the screen and waits for everything."""
    await opened(pilot)
    await pilot.press("7")
    await until(pilot, lambda: isinstance(app.screen, DuplicatesScreen))
    screen = app.screen
    await until(pilot, lambda: screen.is_whole and not screen.is_searching)
    return screen


def test_a_ladder_is_read_back_as_it_was() -> None:
    assert read_ladder(ladder_document(WHOLE, None)) == WHOLE


def test_sizes_and_names_fit_their_columns() -> None:
    assert [size(n) for n in (0, 999, 1000, 2_500_000)] == [
        *("0 B", "999 B", "1.0 kB", "2.5 MB")
    ]
    assert fitted("水墨画", 4) == "水… " and fitted("水墨", 4) == "水墨"


@pytest.mark.parametrize("width", [80, 140])
async def test_groups_files_and_relations(make_app: MakeApp, width: int) -> None:
    question = answering(QUICK, WHOLE)
    app = make_app(question=question)
    async with app.run_test(size=(width, 30)) as pilot:
        await searched(app, pilot)
        depths = [
            asked[asked.index(str(app.library)) + 1 :] for asked in question.asked
        ]
        assert depths == [["--level", "1", "--level", "2"], []]
        text = screen_text(pilot)
        assert "All 2" in text and "5 near 1" in text and "Related 1" in text
        assert "2.5 MB redundant of 6 LoRAs" in text and "2 files left out" in text
        assert "nothing is ever deleted" in text
        assert "level 1: the same file · 2 files · files compared" in text
        assert "Ink 墨 copy" in text and "kept" in words(pilot, "#evidence")
        await pilot.press("j")
        await until(pilot, lambda: "not confirmed" in words(pilot, "#group-head"))
        await pilot.press("enter", "j")
        await until(pilot, lambda: "cosine 0.97" in words(pilot, "#evidence"))
        assert "[b]set" in screen_text(pilot) and "? review" in screen_text(pilot)
        app.theme = "washi"  # drawn anew, and nobody loses his place
        await pilot.pause()
        assert "cosine 0.97" in words(pilot, "#evidence")
        await pilot.press("escape", "left")
        await until(pilot, lambda: "2 checkpoints of" in words(pilot, "#group-head"))
        assert "no duplicates" in words(pilot, "#group-head")
        assert "same file" not in words(pilot, "#found")
        await pilot.press("right", "right", "right")
        await until(pilot, lambda: "None of these" in screen_text(pilot))


async def test_quick_levels_come_first_and_a_search_is_stopped(
    make_app: MakeApp,
) -> None:
    said = ("comparing copies: 1/4 (2/s)",)
    question = answering(QUICK, WHOLE, lines=said, seconds=(0, 20, 0))
    app = make_app(question=question)
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(pilot)
        await pilot.press("7")
        screen = app.screen
        assert isinstance(screen, DuplicatesScreen)
        await until(pilot, lambda: screen.ladder is not None)
        assert screen.is_searching and "All 1" in screen_text(pilot)
        await until(pilot, lambda: "comparing copies" in words(pilot, "#strip"))
        assert "Stop" in screen_text(pilot)
        await pilot.press("s")
        await until(pilot, lambda: not screen.is_searching)
        assert "stopped: r goes on" in screen_text(pilot)
        await pilot.press("r")
        await until(pilot, lambda: screen.is_whole)
        assert "goes on" not in screen_text(pilot)


async def test_a_search_that_fails_unforeseen_can_be_done_again(
    make_app: MakeApp,
) -> None:
    app = make_app(question=Answering({"groups": 3}))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("7")
        await until(pilot, lambda: "Something went wrong" in screen_text(pilot))
        screen = app.screen
        assert isinstance(screen, DuplicatesScreen) and not screen.is_searching
        app.question = answering(QUICK, WHOLE)
        await pilot.press("r")
        await until(pilot, lambda: screen.is_whole)


async def test_what_was_found_before_a_failure_stays(make_app: MakeApp) -> None:
    quick, broken = answering(QUICK), Answering(error="error: it ended so\nhint: look")
    app = make_app(
        question=lambda words: (quick if "--level" in words else broken)(words)
    )
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("7")
        await until(pilot, lambda: "it ended so" in screen_text(pilot))
        screen = app.screen
        assert isinstance(screen, DuplicatesScreen) and not screen.is_searching
        assert "cannot be looked for" not in screen_text(pilot)
        assert "Ink wash" in screen_text(pilot)


async def test_stopped_before_anything_was_found(make_app: MakeApp) -> None:
    app = make_app(question=answering(QUICK, seconds=(20,)))
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("7")
        await until(pilot, lambda: "Looking for duplicates" in screen_text(pilot))
        await pilot.press("s")
        await until(pilot, lambda: "r looks again" in screen_text(pilot))


async def test_none_an_empty_library_and_an_error_say_so(
    make_app: MakeApp, tmp_path: Path
) -> None:
    app = make_app(question=answering(Ladder((), (), 6)))
    async with app.run_test(size=(80, 24)) as pilot:
        await searched(app, pilot)
        assert "No duplicates" in screen_text(pilot)
        await pilot.press("w", "v", "enter", "x")
        assert "There is nothing to list" in {n.title for n in app._notifications}
    app = make_app(tmp_path / "none.sqlite")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("7")
        await until(pilot, lambda: "Your library is empty" in screen_text(pilot))
    app = make_app(question=Answering(error="error: [b]damaged\nhint:  repair it"))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.collection is not None)
        await pilot.press("7")
        await until(pilot, lambda: "cannot be looked for" in screen_text(pilot))
        assert "[b]damaged" in screen_text(pilot) and "repair it" in screen_text(pilot)


async def test_a_file_is_walked_from_and_compared(make_app: MakeApp) -> None:
    with Library.open((app := make_app()).library) as library:
        one, other, *_ = library.entries()
    near = tuple(
        replace(m, key=e.key, name=e.name)
        for m, e in zip(NEAR, (one, other), strict=True)
    )
    ladder = replace(WHOLE, groups=(QUICK.groups[0], Group(Kind.NEAR, "x", near, "")))
    app.question = answering(ladder)
    async with app.run_test(size=(120, 36)) as pilot:
        await searched(app, pilot)
        await pilot.press("v")
        assert "The same weights" in {n.title for n in app._notifications}
        await pilot.press("j")
        await until(pilot, lambda: one.name in words(pilot, "#facts"))
        await pilot.press("enter", "j")
        await until(pilot, lambda: other.name in words(pilot, "#facts"))
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        assert getattr(app.screen, "_keys", None) == (one.key, other.key)
        await pilot.press("escape")
        table = app.screen.query_one(MemberTable)
        await pilot.click(table, offset=(4, 0))
        await until(pilot, lambda: one.name in words(pilot, "#facts"))
        await pilot.click(table, offset=(4, 1), times=2)
        await until(pilot, lambda: isinstance(app.screen, NeighboursScreen))
        await until(pilot, lambda: words(pilot, "#trail") == other.name)
        app.load_collection()
        await pilot.press("7")
        await until(pilot, lambda: "it has changed: r" in screen_text(pilot))


async def test_a_list_is_written_where_a_person_says(
    make_app: MakeApp, tmp_path: Path
) -> None:
    app = make_app(question=answering(WHOLE))
    async with app.run_test(size=(100, 30)) as pilot:
        await searched(app, pilot)
        await pilot.press("w")
        said = " ".join(words(pilot, ".dialog-text").split())
        assert "Nothing is ever deleted or moved" in said
        place = app.screen.query_one(Input)
        place.value = str(tmp_path / "no" / "plan.csv")
        await pilot.press("enter")
        await until(pilot, lambda: "expected a folder" in words(pilot, "#complaint"))
        place.value = str(tmp_path / "plan.csv")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, DuplicatesScreen))
        text = (tmp_path / "plan.csv").read_text("utf-8-sig")
        rows = list(csv.DictReader(text.splitlines()))
        assert [row["action"] for row in rows] == [
            "keep",
            "redundant",
            "keep",
            "review",
        ]
        assert [row["freed"] for row in rows] == ["0", "2500000", "0", "0"]
        await pilot.press("w")
        app.screen.query_one(Input).value = str(tmp_path / "plan.csv")
        await pilot.press("enter")
        await until(pilot, lambda: "expected a new" in words(pilot, "#complaint"))


async def test_details_name_the_copies_that_the_ladder_finds(
    make_app: MakeApp, tmp_path: Path
) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    shutil.copy(REAL, folder)
    turned = folder / "turned.safetensors"
    convert_file(REAL, "kohya", turned, drop_side=True)
    tensors, metadata = read(turned)
    save(folder / "twice.safetensors", scaled(tensors, 2.0), metadata)
    path = tmp_path / "copies.sqlite"
    index_folders([folder], path)
    entries = {entry.name: entry for entry in service.entries(path)}
    (expected,) = find_duplicates(path, [Kind.UPDATE]).groups
    same = {one.name for one in expected.members} - {"lora_disney"}
    found = copies_of(path, entries["lora_disney"].key)
    assert {one.name for one in found} == same == {"turned"}
    assert copies_of(path, entries["twice"].key) == []
    app = make_app(path)
    async with app.run_test(size=(120, 50)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "of the same update" in words(pilot, "#copies"))
        assert "= turned" in words(pilot, "#copies")
