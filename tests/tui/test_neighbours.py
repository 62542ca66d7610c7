"""The neighbours screen: ranked, walked, and walked back."""

import time
from dataclasses import replace

from lorajax.library import Library
from lorajax.service.collection import library as service
from lorajax.service.likeness import explaining
from lorajax.service.likeness.search_documents import (
    explanation_document,
    read_explanation,
)
from lorajax.service.likeness.searching import Query, search
from lorajax_tui.screens import neighbours
from lorajax_tui.screens.neighbours import NearTable, NeighboursScreen
from lorajax_tui.screens.why import WhyScreen
from lorajax_tui.widgets.details import Details
from tests.tui.conftest import MakeApp
from tests.tui.driving import opened, screen_text, until, words
from tests.tui.holding import holding
from tests.tui.questions import Answering


async def test_walking_there_and_back(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        table = await opened(pilot)
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(app.screen, NeighboursScreen))
        near = app.screen.query_one(NearTable)
        await until(pilot, lambda: near.row_count == 3)
        expected = service.neighbours(app.library, "Ink line")
        assert [str(near.get_row_at(i)[2]) for i in range(3)] == [
            match.name for match in expected.matches
        ]
        assert f"{expected.matches[0].similarity:.3f}" in screen_text(pilot)
        await pilot.press("j", "enter")
        second = expected.matches[1].name
        await until(pilot, lambda: f"Ink line › {second}" in words(pilot, "#trail"))
        await until(pilot, lambda: app.screen.query_one(NearTable).row_count == 3)
        await pilot.press("backspace")
        await until(pilot, lambda: words(pilot, "#trail") == "Ink line")
        await pilot.press("backspace")
        assert app.current_mode == "library"
        assert table.key_at_cursor() == expected.key


async def test_without_a_choice_it_says_what_to_do(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("2")
        assert "No LoRA is chosen yet" in screen_text(pilot)
        await pilot.press("enter", "d", "d", "backspace")
        assert app.current_mode == "library"


async def test_a_lora_alone_in_its_space_and_one_without_a_vector(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        table = await opened(pilot)
        await pilot.press("slash", *"water", "enter", "enter")
        await until(pilot, lambda: "It is alone" in screen_text(pilot))
        await pilot.press("1", "escape", "slash", *"oper", "enter")
        await until(pilot, lambda: table.row_count == 1)
        await pilot.press("enter")
        await until(pilot, lambda: "Nothing to compare" in screen_text(pilot))
        assert "has no vector" in screen_text(pilot)


async def test_the_mouse_chooses_and_walks(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        table = await opened(pilot)
        await pilot.click(table, offset=(4, 3), times=2)
        await until(pilot, lambda: isinstance(app.screen, NeighboursScreen))
        near = app.screen.query_one(NearTable)
        await until(pilot, lambda: near.row_count == 3)
        await pilot.click(near, offset=(4, 3))
        assert near.cursor_row == 2 and words(pilot, "#trail") == "Ink wash"
        await pilot.click(near, offset=(4, 3), times=2)
        await until(pilot, lambda: " › " in words(pilot, "#trail"))
        await pilot.click("Tab:first-of-type")
        assert app.current_mode == "library"


async def near(app, pilot) -> NearTable:
    """Opens the neighbours of "Ink line"."""
    await opened(pilot)
    await pilot.press("j", "enter")
    await until(pilot, lambda: isinstance(app.screen, NeighboursScreen))
    table = app.screen.query_one(NearTable)
    await until(pilot, lambda: table.row_count == 3)
    return table


async def test_more_and_less_like_steer_and_go_back(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(140, 36)) as pilot:
        table = await near(app, pilot)
        first, second = (str(table.get_row_at(i)[2]) for i in range(2))
        await pilot.press("plus")
        await until(pilot, lambda: table.row_count == 2)
        assert f"Ink line + {first}" in words(pilot, "#trail")
        table.move_cursor(
            row=[str(table.get_row_at(i)[2]) for i in (0, 1)].index(second)
        )
        await pilot.press("minus")
        await until(pilot, lambda: table.row_count == 1)
        assert f"Ink line + {first} − {second}" in words(pilot, "#trail")
        query = Query(("Ink line", first), (second,))
        (expected,) = search(app.library, query).matches
        assert f"{expected.to_like:5.2f} {expected.to_unlike:5.2f}" in screen_text(
            pilot
        )
        await pilot.press("backspace", "backspace")
        await until(pilot, lambda: words(pilot, "#trail") == "Ink line")


async def test_the_filter_is_kept_from_lora_to_lora(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        table = await near(app, pilot)
        await pilot.press("slash", *"rank>=8", "enter")
        await until(pilot, lambda: table.row_count == 2)
        await pilot.press("enter")  # walks; the filter stays
        await until(pilot, lambda: " › " in words(pilot, "#trail"))
        await until(pilot, lambda: table.row_count == 1)
        await pilot.press("slash", "ctrl+u", *"rank>x", "enter")
        await until(pilot, lambda: "expected a number" in screen_text(pilot))
        await pilot.press("slash", "ctrl+u", *"nowhere", "enter")
        await until(pilot, lambda: "Nothing fits" in screen_text(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: table.row_count == 3)


async def test_a_filter_is_not_lost_to_a_move_of_the_cursor(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        table = await near(app, pilot)
        await pilot.press("slash", *"rank>=8")
        table.action_cursor_down()  # before the filter has rested
        await until(pilot, lambda: table.row_count == 2)


async def test_a_key_pressed_twice_takes_one_step(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(140, 36)) as pilot:
        table = await near(app, pilot)
        with holding((neighbours, "search")) as let_go:
            await pilot.press("plus", "plus", "enter", "minus")
            assert words(pilot, "#trail").count("+") == 1
            let_go()
            await until(pilot, lambda: table.row_count == 2)
        await pilot.press("minus")
        await until(pilot, lambda: words(pilot, "#trail").count("−") == 1)
        await until(pilot, lambda: table.row_count == 1)


async def test_copies_share_a_line(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        table = await near(app, pilot)
        hit = search(app.library, Query(("Ink line",))).matches[0]
        table.show([replace(hit, copies=("a", "b"), missing=True)])
        await pilot.pause()
        assert f"{hit.name}  ×3" in screen_text(pilot)


async def test_why_says_which_parts_agree(make_app: MakeApp) -> None:
    parts = (
        explaining.Part("[b]unet up blocks, attn2 value", 0.6, 0.9, (0.5, 0.4), 8),
        explaining.Part("text encoder, mlp", -0.1, None, (0.5, 0.6), 2),
    )
    found = explaining.Explanation("Ink", "Oil", "s", 0.51, 0.01, parts, parts)
    assert read_explanation(explanation_document(found)) == found
    question = Answering(explanation_document(found))
    app = make_app(question=question)
    async with app.run_test(size=(120, 36)) as pilot:
        table = await near(app, pilot)
        chosen = table.chosen()
        await pilot.press("w")
        await until(pilot, lambda: "Ink and Oil: 0.510" in screen_text(pilot))
        text = screen_text(pilot)
        assert "[b]unet up blocks, attn2 value ×8" in text and "+0.600" in text
        assert "0.90" in text and "-0.100" in text and "+0.010 is in no part" in text
        ((command, _, second, *options),) = question.asked
        assert chosen is not None and (command, second) == ("explain", chosen.key)
        assert options[:2] == ["--library", str(app.library)]
        await pilot.press("escape")
        assert isinstance(app.screen, NeighboursScreen)


async def test_why_fails_with_a_reason(make_app: MakeApp) -> None:
    app = make_app(question=Answering(error="error: [b]it is gone\nhint:  bring it"))
    async with app.run_test(size=(80, 24)) as pilot:
        await near(app, pilot)
        await pilot.press("w")
        await until(pilot, lambda: "[b]it is gone" in screen_text(pilot))
        assert "bring it" in screen_text(pilot)


async def test_why_is_not_asked_any_longer_when_it_is_closed(make_app: MakeApp) -> None:
    question = Answering(seconds=(20,))
    app = make_app(question=question)
    async with app.run_test(size=(80, 24)) as pilot:
        await near(app, pilot)
        await pilot.press("w")
        assert isinstance(app.screen, WhyScreen)
        await until(pilot, lambda: len(question.asked) == 1)
        begun = time.monotonic()
        await pilot.press("escape")
        await app.workers.wait_for_complete()
        assert time.monotonic() - begun < 5


async def test_a_lora_that_has_gone_is_no_neighbour_any_more(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(app.screen, NeighboursScreen))
        near = app.screen.query_one(NearTable)
        await until(pilot, lambda: near.row_count == 3)
        gone = near.chosen()
        assert gone is not None
        with Library.open(app.library) as library, library.transaction():
            library.execute("DELETE FROM loras WHERE key = ?", gone.key)
        await pilot.press("r")
        await until(pilot, lambda: near.row_count == 2)
        chosen = near.chosen()
        assert chosen is not None and chosen.key != gone.key


async def test_who_walks_on_from_the_details_sees_where(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(app.screen, NeighboursScreen))
        near = app.screen.query_one(NearTable)
        await until(pilot, lambda: near.row_count == 3)
        await pilot.press("d", "plus")
        await until(pilot, lambda: "Ink line + " in screen_text(pilot))
        assert app.focused is near


async def test_narrow_details_stay_until_one_goes_on(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        table = await near(app, pilot)
        details, before = app.screen.query_one(Details), app.collection
        await pilot.press("d", "r")
        await until(pilot, lambda: app.collection is not before)
        await pilot.pause(0.5)
        assert app.focused is details and details.display
        trail = words(pilot, "#trail")
        await pilot.press("plus")
        await until(pilot, lambda: app.focused is table)
        assert not details.display and words(pilot, "#trail") != trail


async def test_why_keeps_its_numbers_on_a_narrow_screen(make_app: MakeApp) -> None:
    name = "unet down blocks, cross-attention to the text, output projection"
    parts = tuple(
        explaining.Part(name, -0.2 - i / 1000, -0.91, (1.0, 0.44), 36)
        for i in range(30)
    )
    found = explaining.Explanation("Ink", "Oil", "s", 0.51, 0.01, parts, parts)
    app = make_app(question=Answering(explanation_document(found)))
    async with app.run_test(size=(80, 24)) as pilot:
        await near(app, pilot)
        await pilot.press("w")
        await until(pilot, lambda: "Ink and Oil: 0.510" in screen_text(pilot))

        def row() -> str:
            return next(x for x in screen_text(pilot).splitlines() if "-0.200" in x)

        for width in (80, 100, 120, 80):
            await pilot.resize_terminal(width, 24)
            await until(pilot, lambda: "second" in screen_text(pilot))
            await pilot.pause(0.1)
            assert row().split("-0.200")[1].split()[:3] == ["-0.91", "100%", "44%"]
            assert "unet down blocks" in row() and "… ×36" in row()
