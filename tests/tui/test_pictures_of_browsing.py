"""How the screens look that show the collection: empty, at work, and full."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from lorajax.service.collection import library as library_service
from lorajax.service.likeness import comparing, mapping
from lorajax.service.likeness.search_documents import explanation_document
from lorajax_tui.app import LorajaxApp
from lorajax_tui.screens import neighbours
from lorajax_tui.screens.label import LabelScreen
from lorajax_tui.widgets.collection_table import CollectionTable
from lorajax_tui.widgets.folders import Folders
from lorajax_tui.widgets.near_table import NearTable
from lorajax_tui.widgets.scatter import Scatter
from tests.tui import drawn
from tests.tui.driving import opened, screen_text, until, words
from tests.tui.holding import HeldJob, holding
from tests.tui.ladders import NOTHING, QUICK, WHOLE, answering
from tests.tui.picturing import DOCS, SMALL, Snapshots, both_sizes, rested
from tests.tui.questions import Answering

pytestmark = pytest.mark.slow  # some ten seconds a screen in all its states


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., LorajaxApp]:
    """Builds an application over relative paths, which look alike everywhere."""
    monkeypatch.chdir(tmp_path)
    for name in ("strengths", "compare"):
        fake = {"strengths": drawn.strengths, "compare": drawn.comparison}[name]
        monkeypatch.setattr(comparing, name, fake)

    def make(path: Path = drawn.LIBRARY, **more: Any) -> LorajaxApp:
        made = LorajaxApp(path, Path("checkpoints"), Path("state.json"), **more)
        made.animation_level = "none"
        return made

    return make


async def filtered(pilot: Pilot[Any], line: str, *keys: str) -> None:
    """Filters, leaves the line, and presses more keys."""
    pilot.app.screen.query_one("#filter", Input).value = line
    await pilot.pause()
    await pilot.press("slash", "enter", *keys)


async def test_the_library(app, snapshot: Snapshots) -> None:
    drawn.draw_collection(pictured=True)
    async with app(index_job=HeldJob).run_test(size=DOCS) as pilot:
        await opened(pilot)
        pilot.app.screen.query_one(CollectionTable).move_cursor(row=7)
        await snapshot(pilot, "library", image="tui-library.svg")
        await both_sizes(pilot, snapshot, "library")
        await filtered(pilot, "base=sdxl rank>=16 ink")
        await snapshot(pilot, "library-filtered")
        await filtered(pilot, "zzz")
        await snapshot(pilot, "library-nothing-fits")
        await pilot.press("escape")
        await rested(pilot.app)
        await pilot.press("o")
        await snapshot(pilot, "columns")
        await pilot.press("escape", "x")
        await snapshot(pilot, "refused")
        await pilot.press("escape", "e")
        await snapshot(pilot, "labels")
        await pilot.press("escape", "question_mark")
        await snapshot(pilot, "help")
        await pilot.press("escape", "ctrl+p")
        await snapshot(pilot, "palette")
        await pilot.press("escape")


async def test_indexing(app, snapshot: Snapshots) -> None:
    drawn.draw_collection()
    async with app(index_job=HeldJob).run_test(size=DOCS) as pilot:
        await opened(pilot)
        pilot.app.remember(folder="loras/ink")
        await pilot.press("i")
        tree = pilot.app.screen.query_one(Folders)
        await until(pilot, lambda: len(tree.root.children) > 0)
        await snapshot(pilot, "index-dialog")
        await pilot.press("enter")
        await snapshot(pilot, "library-indexing")
        await pilot.press("i")
        await snapshot(pilot, "stop-dialog")
        await pilot.press("escape")


async def test_without_a_library(app, snapshot: Snapshots) -> None:
    async with app(Path("none.sqlite")).run_test(size=SMALL) as pilot:
        for key, screen in enumerate(("library", "neighbours", "map", "label"), 1):
            await pilot.press(str(key))
            await snapshot(pilot, f"{screen}-empty")
        await pilot.press("1", "x")
        await snapshot(pilot, "refused-empty")


async def test_a_damaged_library(app, snapshot: Snapshots) -> None:
    Path("odd.sqlite").write_bytes(b"no database at all" * 100)
    async with app(Path("odd.sqlite")).run_test(size=SMALL) as pilot:
        await snapshot(pilot, "library-damaged")


async def test_screens_at_work(app, snapshot: Snapshots) -> None:
    drawn.draw_collection()
    with holding((library_service, "columns"), (mapping, "spaces")) as let_go:
        async with app().run_test(size=SMALL) as pilot:
            for key, screen in (("1", "library"), ("3", "map"), ("4", "label")):
                await pilot.press(key)
                await snapshot(pilot, f"{screen}-busy")
            let_go()


async def test_neighbours_that_are_looked_for(app, snapshot: Snapshots) -> None:
    drawn.draw_collection()
    with holding((neighbours, "search")):
        async with app().run_test(size=SMALL) as pilot:
            await opened(pilot)
            await pilot.press("enter")
            await until(pilot, lambda: "Looking for" in screen_text(pilot))
            await snapshot(pilot, "neighbours-busy")


async def test_neighbours(app, snapshot: Snapshots) -> None:
    drawn.draw_collection(pictured=True)
    answer = explanation_document(drawn.explanation())
    question = Answering(answer, seconds=(0, 30))
    async with app(question=question).run_test(size=DOCS) as pilot:
        await opened(pilot)
        await filtered(pilot, "neon city", "enter")
        await until(pilot, lambda: bool(pilot.app.screen.query(NearTable)))
        near = pilot.app.screen.query_one(NearTable)
        await until(pilot, lambda: near.row_count > 20)
        await pilot.press("enter")
        await until(pilot, lambda: " › " in screen_text(pilot))
        await snapshot(pilot, "neighbours", image="tui-neighbours.svg")
        await rested(pilot.app)
        await pilot.press("w")
        await until(pilot, lambda: "adds" in screen_text(pilot))
        await snapshot(pilot, "why")
        await pilot.press("escape", "w")
        await snapshot(pilot, "why-busy")
        await pilot.press("escape")
        await both_sizes(pilot, snapshot, "neighbours")
        await pilot.press("j", "plus")
        await until(pilot, lambda: " + " in screen_text(pilot))
        await pilot.press("G", "minus")
        await snapshot(pilot, "neighbours-steered")


async def test_duplicates(app, snapshot: Snapshots) -> None:
    drawn.draw_collection(pictured=True)
    states = {
        "duplicates": (answering(WHOLE), "nothing is ever deleted"),
        "duplicates-empty": (answering(NOTHING), "No duplicates"),
        "duplicates-busy": (answering(QUICK, seconds=(30,)), "Looking for"),
    }
    for name, (question, said) in states.items():
        Path("state.json").unlink(missing_ok=True)  # it remembers the last screen
        async with app(question=question).run_test(size=DOCS) as pilot:
            await opened(pilot)
            await pilot.press("7")
            await until(pilot, lambda said=said: said in screen_text(pilot))
            await snapshot(pilot, name)
            if name == "duplicates":
                await pilot.press("w")
                pilot.app.screen.query_one(Input).value = "loras/duplicates.csv"
                await snapshot(pilot, "plan-dialog")


async def test_comparing(app, snapshot: Snapshots) -> None:
    drawn.draw_collection(pictured=True)
    async with app().run_test(size=DOCS) as pilot:
        await opened(pilot)
        await filtered(pilot, "neon", "p", "j", "v")
        pilot.app.clear_notifications()
        await snapshot(pilot, "compare", image="tui-compare.svg")
        await both_sizes(pilot, snapshot, "compare")
        with holding((comparing, "compare")):
            await pilot.press("escape", "v")
            await snapshot(pilot, "compare-busy")


async def test_the_map(app, snapshot: Snapshots) -> None:
    drawn.draw_collection(pictured=True, crowd=24)
    async with app().run_test(size=DOCS) as pilot:
        await opened(pilot)
        await filtered(pilot, "synth", "m")
        await until(pilot, lambda: bool(pilot.app.screen.query(Scatter)))
        scatter = pilot.app.screen.query_one(Scatter)
        await until(pilot, lambda: scatter.cursor is not None)
        await snapshot(pilot, "map", image="tui-map.svg")
        await filtered(pilot, "ink", "plus", "plus")
        await snapshot(pilot, "map-filtered")
        await filtered(pilot, "synth", "0", "right")
        await both_sizes(pilot, snapshot, "map")


async def test_labelling(app, snapshot: Snapshots) -> None:
    drawn.draw_collection(pictured=True)
    async with app().run_test(size=DOCS) as pilot:
        await opened(pilot)
        await pilot.press("4")
        screen = pilot.app.screen
        assert isinstance(screen, LabelScreen)
        for answer in ("left", "right", "space"):
            await until(pilot, lambda: screen.question is not None)
            before = screen.question
            await pilot.press(answer)
            await until(pilot, lambda before=before: screen.question is not before)
        await snapshot(pilot, "label", image="tui-label.svg")
        await both_sizes(pilot, snapshot, "label")
        # Another person has said otherwise of one, and the same of the other.
        for name, keys in (("Mori", "left"), ("Aki", "right")):
            await pilot.press("a")
            await until(pilot, lambda: "Answers:" in words(pilot, "#agreement"))
            before = screen.question
            await pilot.press("ctrl+u", *name, "enter")
            for _ in range(2):
                await until(pilot, lambda b=before: screen.question not in (None, b))
                before = screen.question
                await pilot.press(keys)
            await until(pilot, lambda b=before: screen.question is not b)
        await pilot.press("a")
        await until(pilot, lambda: "Answers:" in words(pilot, "#agreement"))
        await both_sizes(pilot, snapshot, "raters")
