"""Labelling: answer, skip, undo, resume; keys and mouse; pictures and words."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lorajax.library import Library
from lorajax.service.labels import answers, human_triplets
from lorajax.service.labels.answers import write_answer
from lorajax.service.labels.raters import rater_file
from lorajax_tui.screens.label import LabelScreen
from lorajax_tui.screens.raters import RatersScreen
from lorajax_tui.widgets.card import Card
from lorajax_tui.widgets.picture import Picture
from tests.tui.conftest import NAMES, MakeApp
from tests.tui.driving import opened, screen_text, until, words

COLOURS = ["red", "lime", "blue", "yellow", "cyan", "magenta"]


@pytest.fixture
def pictures(library: Path) -> None:
    """A picture of its own colour beside every LoRA."""
    with Library.open(library) as known, known.transaction():
        for name, colour in zip(NAMES, COLOURS, strict=True):
            file = library.parent / "loras" / f"{name}.png"
            Image.new("RGB", (64, 48), colour).save(file)
        known.execute("UPDATE paths SET told = json_set(told, '$.preview', 'x.png')")
        known.grow_revision()


async def asked(pilot) -> LabelScreen:
    """Opens the screen and waits for a question."""
    await opened(pilot)
    await pilot.press("4")
    await until(pilot, lambda: isinstance(pilot.app.screen, LabelScreen))
    screen = pilot.app.screen
    assert isinstance(screen, LabelScreen)
    await until(pilot, lambda: screen.question is not None)
    return screen


def lines(library: Path) -> list[dict[str, str]]:
    """The triplets that were written."""
    text = rater_file(library).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_answers_are_written_at_once_and_the_session_goes_on(
    make_app: MakeApp, size: tuple[int, int]
) -> None:
    app = make_app()
    async with app.run_test(size=size) as pilot:
        screen = await asked(pilot)
        question = screen.question
        assert question is not None
        text = screen_text(pilot)
        for name in (question.anchor.name, question.left.name, question.right.name):
            assert name in text
        await pilot.press("right")
        await until(pilot, lambda: "1 answer" in screen_text(pilot))
        assert lines(app.library) == [
            {
                "anchor": question.anchor.name,
                "positive": question.right.name,
                "negative": question.left.name,
            }
        ]
        first = screen
        await until(pilot, lambda: first.question not in (None, question))
        second = screen.question
        await pilot.press("space")
        await until(pilot, lambda: "1 skipped" in screen_text(pilot))
        third = screen.question and screen.question.identity
        widths = {strip.cell_length for strip in screen._compositor.render_strips()}
        assert widths == {size[0]}
    again = make_app()
    async with again.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(again.screen, LabelScreen))
        screen = again.screen
        assert isinstance(screen, LabelScreen)
        await until(pilot, lambda: "1 answer · 1 skipped" in screen_text(pilot))
        found = screen.question and screen.question.identity
        assert found == third
        assert second is not None and found != second.identity


async def test_what_was_answered_or_skipped_is_undone(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await asked(pilot)
        await pilot.press("u")
        await until(pilot, lambda: bool(app._notifications))
        first = screen.question
        await pilot.press("left")
        await until(pilot, lambda: screen.question is not first)
        second = screen.question
        await pilot.press("space")
        await until(pilot, lambda: screen.question is not second)
        await pilot.press("u")
        await until(pilot, lambda: screen.question is second)
        await pilot.press("backspace")
        await until(pilot, lambda: screen.question is first)
        assert lines(app.library) == [] and "0 answers" in screen_text(pilot)


async def test_a_reload_that_comes_late_asks_nothing_twice(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when an indexing ends, or r is pressed, while the library is read."""
    real, gate, held = human_triplets.next_question, threading.Event(), []

    def slow(*args: Any) -> Any:
        found = real(*args)
        if held and held.pop():
            gate.wait(10)
        return found

    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await asked(pilot)
        first = screen.question
        assert first is not None
        monkeypatch.setattr(human_triplets, "next_question", slow)
        held.append(True)
        screen.action_reload()
        await until(pilot, lambda: not held)
        screen.action_reload()
        await pilot.pause(0.2)
        await pilot.press("left")
        await pilot.pause(0.2)
        gate.set()
        await until(pilot, lambda: not screen.is_busy)
        if not screen.answered:
            await pilot.press("left")
        await until(pilot, lambda: "1 answer" in screen_text(pilot))
        await pilot.pause(0.3)
        assert screen.question is not None
        assert screen.question.identity != first.identity
        assert len(lines(app.library)) == 1


async def test_an_answer_that_cannot_be_written_is_said_and_asked_again(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await asked(pilot)
        first, file = screen.question, rater_file(app.library)
        file.mkdir()
        await pilot.press("left")
        await until(pilot, lambda: bool(app._notifications))
        assert any("cannot be read" in n.title for n in app._notifications)
        assert screen.question is first and screen.answered == []
        assert "Nothing to ask" not in screen_text(pilot)
        file.rmdir()
        await pilot.press("left")
        await until(pilot, lambda: len(screen.answered) == 1)
        await until(pilot, lambda: "1 answer" in screen_text(pilot))


async def test_a_late_answer_is_of_who_gave_it(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, gate = answers.write_answer, threading.Event()

    def slow(*args: Any) -> None:
        gate.wait(10)
        real(*args)

    monkeypatch.setattr(answers, "write_answer", slow)
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await asked(pilot)
        await pilot.press("left", "a")
        await until(pilot, lambda: isinstance(app.screen, RatersScreen))
        await pilot.press("ctrl+u", *"Mori", "enter")
        gate.set()
        await until(pilot, lambda: rater_file(app.library).exists())
        await until(pilot, lambda: "Mori-triplets.jsonl" in screen_text(pilot))
        assert "0 answers" in screen_text(pilot) and screen.answered == []
        assert not rater_file(app.library, "Mori").exists()


async def test_a_click_chooses_and_all_is_asked_at_last(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await asked(pilot)
        question = screen.question
        await pilot.click("#anchor")
        assert screen.question is question and not rater_file(app.library).exists()
        await pilot.click("#left")
        await until(pilot, lambda: screen.question is not question)
        assert question is not None
        assert lines(app.library)[0]["positive"] == question.left.name
        # Four LoRAs of one space: four anchors with three pairs each.
        for _ in range(11):
            before = screen.question
            await pilot.press("l")
            await until(pilot, lambda before=before: screen.question is not before)
        assert screen.question is None
        assert "Nothing is left to ask" in screen_text(pilot)
        await pilot.press("left", "space", "n", "b")
        await until(pilot, lambda: "Nothing to ask" in screen_text(pilot))
        assert "three LoRAs with names of their own" in screen_text(pilot)
        await pilot.press("b")
        await until(pilot, lambda: "is left to ask" in screen_text(pilot))


@pytest.mark.usefixtures("pictures")
async def test_pictures_are_shown_and_names_can_be_hidden(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await asked(pilot)
        question = screen.question
        assert question is not None
        for place in ("anchor", "left", "right"):
            name = getattr(question, place).name
            picture = screen.query_one(f"#{place}", Card).query_one(Picture)
            assert picture.size.height > 8
            styles = {
                (segment.style.color, segment.style.bgcolor)
                for strip in picture.render_lines(picture.size.region)
                for segment in strip
                if segment.style and "▀" in segment.text
            }
            ((above, below),) = styles
            expected = Image.new("RGB", (1, 1), COLOURS[NAMES.index(name)])
            assert above == below and above is not None
            assert tuple(above.triplet or ()) == expected.getpixel((0, 0))
        assert question.anchor.name in screen_text(pilot)
        await pilot.press("n")
        assert question.anchor.name not in screen_text(pilot)


async def test_raters_answer_in_turn_and_see_how_far_they_agree(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await asked(pilot)
        first = screen.question
        assert first is not None
        await pilot.press("left")
        await until(pilot, lambda: screen.question is not first)
        await pilot.press("a")
        await until(pilot, lambda: "human 1" in words(pilot, "#agreement"))
        assert "once two people" in words(pilot, "#agreement")
        await pilot.press(*"../x", "enter")
        await until(pilot, lambda: "name of a person" in words(pilot, "#complaint"))
        await pilot.press("ctrl+u", *"Mori", "enter")
        # The next person is asked the same, and takes nothing of the first one back.
        await until(pilot, lambda: "Mori-triplets.jsonl" in screen_text(pilot))
        assert screen.question is not None
        assert screen.question.identity == first.identity
        await pilot.press("u")
        assert len(lines(app.library)) == 1
        await pilot.press("right")
        await until(pilot, lambda: "1 answer" in screen_text(pilot))
        await pilot.press("a")
        await until(pilot, lambda: "human and Mori" in words(pilot, "#agreement"))
        told = words(pilot, "#agreement")
        assert "0% of 1, 0% to 79%" in told and "1 comparison seen differently" in told
        assert f"more like {first.anchor.name}" in told
        assert f"human: {first.left.name}" in told
        assert f"Mori: {first.right.name}" in told
        await pilot.press("escape")
    again = make_app()
    async with again.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "Mori-triplets.jsonl" in screen_text(pilot))


async def test_strange_raters_cannot_harm_the_screen(make_app: MakeApp) -> None:
    """Files of others may be called anything, and say anything."""
    app = make_app()
    for who in ("[red]x", "\x1b[31m", "long" * 20):
        answer = ("[bold]a", "\x1b]0;b", "c\u202e")
        write_answer(app.library.with_name(f"{who}-triplets.jsonl"), *answer)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await asked(pilot)
        await pilot.press("a")
        await until(pilot, lambda: "Answers:" in words(pilot, "#agreement"))
        assert "[red]x" in screen_text(pilot) and "\x1b" not in screen_text(pilot)
        await pilot.press("down", "up", "escape")
        assert pilot.app.screen is screen
        damaged = app.library.with_name("bad-triplets.jsonl")
        damaged.write_text("no triplet\n", encoding="utf-8")
        await pilot.press("a")
        await until(pilot, lambda: "line 1: expected" in words(pilot, "#agreement"))


async def test_a_damaged_file_of_answers_is_said(make_app: MakeApp) -> None:
    app = make_app()
    rater_file(app.library).write_text("no triplet\n", encoding="utf-8")
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("4")
        await until(pilot, lambda: "Nothing to ask" in screen_text(pilot))
        assert "line 1: expected" in words(pilot, ".notice-text")


async def test_without_a_library_nothing_is_asked(
    make_app: MakeApp, tmp_path: Path
) -> None:
    app = make_app(tmp_path / "none.sqlite")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: "Nothing to ask" in screen_text(pilot))
        await pilot.press("b", "left", "space", "u")
