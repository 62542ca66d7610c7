"""The neighbours screen: ranked, walked, and walked back."""

from lorajax.service import library as service
from lorajax_tui.screens.neighbours import NearTable, NeighboursScreen
from tests.tui.conftest import MakeApp
from tests.tui.driving import opened, screen_text, until, words


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
