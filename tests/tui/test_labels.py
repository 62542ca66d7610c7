"""What a person says of a LoRA, from the table."""

import threading
from typing import Any

import pytest
from textual.widgets import Input, Static

from lorajax.library import Library
from lorajax.service.labels import labelling
from lorajax.service.labels.labelling import labelled
from tests.tui.conftest import MakeApp
from tests.tui.driving import opened, screen_text, until, words
from tests.tui.holding import holding


async def test_labels_are_said_taken_back_and_undone(make_app: MakeApp) -> None:
    app = make_app()

    def held(field: str) -> tuple[str, ...]:
        (one,) = labelled(app.library, ["Ink line"])
        return one.holds.get(field, ())

    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("j", "e")
        await until(pilot, lambda: "Labels of Ink line" in screen_text(pilot))
        await pilot.press(*"style=ink", "enter")
        await until(pilot, lambda: "ink" in words(pilot, "#labels"))
        assert held("style") == ("ink",) and "person" in words(pilot, "#labels")
        await pilot.press(*"ink", "enter")
        await until(pilot, lambda: "expected field=value" in words(pilot, "#complaint"))
        await pilot.press("ctrl+u", *"-style", "enter")
        await until(pilot, lambda: held("style") == ())
        await pilot.press("ctrl+z")
        await until(pilot, lambda: held("style") == ("ink",))
        await until(pilot, lambda: bool(app._notifications))
        (said,) = app._notifications
        assert (said.title, said.message) == ("Taken back of Ink line", "style=ink")
        await pilot.press("ctrl+z")
        await until(pilot, lambda: held("style") == ())
        await pilot.press("ctrl+z")
        await until(pilot, lambda: "nothing was said" in words(pilot, "#complaint"))
        await pilot.press("escape")
        assert "Labels of" not in screen_text(pilot)


async def test_words_are_said_in_the_order_they_are_written(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("j", "e")
        await until(pilot, lambda: "Labels of Ink line" in screen_text(pilot))
        with holding((labelling, "parse_words")) as let_go:
            await pilot.press(*"style=ink", "enter", "ctrl+z")
            await pilot.pause(0.3)
            let_go()
            await until(pilot, lambda: bool(app._notifications))
        await until(pilot, lambda: "Nothing is said" in words(pilot, "#labels"))
        assert words(pilot, "#complaint") == ""


async def test_an_older_answer_hides_no_newer_word(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, real, asked = threading.Event(), labelling.labelled, []

    def slow(*args: Any) -> Any:
        found = real(*args)
        asked.append(args)
        if len(asked) == 1:
            gate.wait(10)
        return found

    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("j", "e")
        await until(pilot, lambda: "Labels of Ink line" in screen_text(pilot))
        monkeypatch.setattr(labelling, "labelled", slow)
        line = app.screen.query_one(Input)
        for word in ("style=ink", "mood=calm"):
            line.value = word
            await pilot.press("enter")
            await pilot.pause(0.2)
        gate.set()
        await until(pilot, lambda: len(asked) == 2)
        await until(pilot, lambda: "calm" in words(pilot, "#labels"))
        await pilot.pause(0.2)
        assert "calm" in words(pilot, "#labels") and line.value == ""


async def test_what_one_types_meanwhile_is_kept(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        with holding((labelling, "labelled")) as let_go:
            await pilot.press("j", "e", *"style=ink", "enter", *"wash")
            let_go()
            await until(pilot, lambda: "Labels of Ink line" in screen_text(pilot))
            await pilot.pause(0.2)
        assert app.screen.query_one(Input).value == "style=inkwash"


async def test_labels_that_cannot_be_read_are_said(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        app.library.write_bytes(b"no database at all" * 100)
        await pilot.press("e")
        await until(pilot, lambda: "cannot be read" in words(pilot, "#labels"))
        complaint = app.screen.query_one("#complaint", Static)
        assert "damaged" in str(complaint.visual)


async def test_labels_of_strangers_do_nothing_to_the_screen(make_app: MakeApp) -> None:
    app = make_app()
    with Library.open(app.library) as library, library.transaction():
        (key,) = library.query("SELECT key FROM loras WHERE name = 'Ink line'")[0]
        row = (key, "style", "ink", "[/b]\x1b]0;owned", None)
        library.execute("INSERT INTO labels VALUES (?, ?, ?, ?, ?)", *row)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("j", "e")
        await until(pilot, lambda: "[/b]]0;owned" in words(pilot, "#labels"))
        assert "\x1b" not in screen_text(pilot)


async def test_a_condition_on_labels_knows_what_was_just_said(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        table = await opened(pilot)
        await pilot.press("slash", *"style=ink")
        await until(pilot, lambda: "0 of 6" in screen_text(pilot))
        await pilot.press("escape", "e")
        await until(pilot, lambda: "Nothing is said" in words(pilot, "#labels"))
        await pilot.press(*"style=ink", "enter")
        await until(pilot, lambda: "person" in words(pilot, "#labels"))
        await pilot.press("escape", "slash", *"style=ink")
        await until(pilot, lambda: "1 of 6" in screen_text(pilot))
        assert table.row_count == 1
        await pilot.press("enter", "e")
        await until(pilot, lambda: "person" in words(pilot, "#labels"))
        await pilot.press(*"-style", "enter")
        await until(pilot, lambda: "Nothing is said" in words(pilot, "#labels"))
        await pilot.press("escape")
        await until(pilot, lambda: "0 of 6" in screen_text(pilot))


@pytest.mark.parametrize("size", [(80, 24), (100, 40)])
async def test_many_labels_are_scrolled_and_complaints_are_in_sight(
    make_app: MakeApp, size: tuple[int, int]
) -> None:
    app = make_app()
    async with app.run_test(size=size) as pilot:
        table = await opened(pilot)
        key = table.key_at_cursor()
        assert key is not None
        said = [("tag", f"tag-{i:02}") for i in range(30)]
        labelling.change(app.library, [key], say=said)
        await pilot.press("e")
        await until(pilot, lambda: "tag-00" in screen_text(pilot))
        assert "tag-29" not in screen_text(pilot)
        await pilot.press(*["down"] * 30)
        await until(pilot, lambda: "tag-29" in screen_text(pilot))
        assert "tag-00" not in screen_text(pilot)
        await pilot.press(*"ink", "enter")
        await until(pilot, lambda: "expected field=value" in screen_text(pilot))
        assert "Esc closes" in screen_text(pilot)
        await pilot.press(*["up"] * 30)
        await until(pilot, lambda: "tag-00" in screen_text(pilot))


async def test_what_was_said_counts_also_where_the_dialog_was_left(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("slash", *"style=ink")
        await until(pilot, lambda: "0 of 6" in screen_text(pilot))
        app.screen.query_one("#filter", Input).value = ""
        await pilot.press("enter", "e")
        await until(pilot, lambda: "Nothing is said" in words(pilot, "#labels"))
        with holding((labelling, "change")) as let_go:
            await pilot.press(*"style=ink", "enter")
            await pilot.press("escape", "slash", *"style=ink")
            await until(pilot, lambda: "0 of 6" in screen_text(pilot))
            let_go()
            await until(pilot, lambda: "1 of 6" in screen_text(pilot))
        assert not app._notifications


async def test_what_is_refused_is_said_also_where_the_dialog_was_left(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("e")
        await until(pilot, lambda: "Nothing is said" in words(pilot, "#labels"))
        with holding((labelling, "parse_words")) as let_go:
            await pilot.press(*"[b]ink", "enter", "escape")
            assert not app._notifications
            let_go()
            await until(pilot, lambda: bool(app._notifications))
        (said,) = app._notifications
        assert said.severity == "error" and "[b]ink" in said.message
        assert app.words_said == 0
