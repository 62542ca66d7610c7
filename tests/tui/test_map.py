"""The map: dots, colours, filter, keys and mouse, and its empty states."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from lorajax.errors import LorajaxError
from lorajax.library import Library
from lorajax.service.labels import labelling
from lorajax.service.likeness import mapping
from lorajax_tui.braille import View, towards
from lorajax_tui.messages import MapFailed, MapLoaded
from lorajax_tui.screens.map import MapScreen
from lorajax_tui.screens.neighbours import NeighboursScreen
from lorajax_tui.widgets.details import Details
from lorajax_tui.widgets.scatter import Scatter
from tests.tui.conftest import NAMES, MakeApp
from tests.tui.driving import opened, screen_text, until, words
from tests.tui.questions import Answering


async def shown(pilot) -> Scatter:
    """Opens the map and waits for its dots."""
    await opened(pilot)
    await pilot.press("3")
    await until(pilot, lambda: isinstance(pilot.app.screen, MapScreen))
    scatter = pilot.app.screen.query_one(Scatter)
    await until(pilot, lambda: len(scatter.positions) > 0)
    await until(pilot, lambda: bool(scatter.size))
    return scatter


def seen(scatter: Scatter) -> View:
    """What the map shows now."""
    view = scatter.seen()
    assert view is not None
    return view


def dots(text: str) -> int:
    """How many raised dots a screen shows."""
    return sum((ord(c) - 0x2800).bit_count() for c in text if "⠀" < c <= "⣿")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_every_lora_is_a_dot_with_its_name(
    make_app: MakeApp, size: tuple[int, int]
) -> None:
    app = make_app()
    async with app.run_test(size=size) as pilot:
        scatter = await shown(pilot)
        expected = mapping.map_space(app.library)
        assert list(scatter.names) == list(expected.names)
        text = words(pilot, "#scatter")
        assert all(name in text for name in ("Ink wash", "Oil 油絵", "[red]Clay"))
        assert dots(text) == 4 * 4
        assert "sd15 in the base space · 4 LoRAs" in screen_text(pilot)
        widths = {strip.cell_length for strip in app.screen._compositor.render_strips()}
        assert widths == {size[0]}


async def test_keys_walk_zoom_and_pan(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        scatter = await shown(pilot)
        await pilot.press("l")  # the first step goes to the middle
        assert scatter.cursor is not None
        for keys, dx, dy in (("left h", -1, 0), ("up k", 0, -1), ("right l", 1, 0)):
            for key in keys.split():
                here = scatter.cursor
                await pilot.press(key)
                expected = towards(scatter.positions, here, dx, dy)
                assert scatter.cursor == (here if expected is None else expected)
        view = seen(scatter)
        await pilot.press("plus")
        assert seen(scatter).scale > view.scale
        await pilot.press("minus", "L")
        assert seen(scatter).x > view.x
        await pilot.resize_terminal(100, 30)
        assert seen(scatter).scale == pytest.approx(view.scale)  # as it was left
        await pilot.resize_terminal(120, 40)
        await pilot.press("H", "J", "K", "0")
        assert seen(scatter).scale == view.scale
        await until(pilot, lambda: "rank" in words(pilot, "#facts"))
        name = scatter.names[scatter.cursor]
        assert name in words(pilot, "#facts")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, NeighboursScreen))
        await until(pilot, lambda: words(pilot, "#trail") == name)


async def test_the_mouse_picks_zooms_and_drags(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        scatter = await shown(pilot)
        view = seen(scatter)
        for index in range(len(scatter.names)):
            right, down = view.dots(scatter.positions)[index]
            await pilot.click(scatter, offset=(int(right // 2), int(down // 4)))
            assert scatter.cursor == index
        scatter.post_message(_scroll(scatter, 10, 10))
        await pilot.pause()
        assert seen(scatter).scale > view.scale
        np.testing.assert_allclose(seen(scatter).place(10, 10), view.place(10, 10))
        chosen = scatter.names[scatter.cursor or 0]
        await pilot.press("0")
        await pilot.mouse_down(scatter, offset=(20, 10))
        scatter.post_message(_drag(scatter, 25, 8, 5, -2))
        await pilot.mouse_up(scatter, offset=(25, 8))
        await pilot.pause()
        assert scatter.names[scatter.cursor or 0] == chosen
        np.testing.assert_allclose(seen(scatter).place(25, 8), view.place(20, 10))
        await pilot.press("0")
        right, down = view.dots(scatter.positions)[scatter.cursor or 0]
        offset = (int(right // 2), int(down // 4))
        await pilot.click(scatter, offset=offset, times=2)
        await until(pilot, lambda: isinstance(app.screen, NeighboursScreen))
        await until(pilot, lambda: words(pilot, "#trail") == chosen)


def _drag(scatter: Scatter, x: int, y: int, dx: int, dy: int):
    from textual.events import MouseMove

    return MouseMove(scatter, x, y, dx, dy, 1, False, False, False)


def _scroll(scatter: Scatter, x: int, y: int):
    from textual.events import MouseScrollUp

    return MouseScrollUp(scatter, x, y, 0, 0, 0, False, False, False)


async def test_the_filter_dims_and_keeps_the_cursor_among_what_fits(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        scatter = await shown(pilot)
        ranks = [4 * NAMES.index(name) for name in scatter.names]
        await pilot.press("slash", *"ink")
        await until(pilot, lambda: "2 of 4" in screen_text(pilot))
        text = words(pilot, "#scatter")
        assert "Ink wash" in text and "Clay" not in text and dots(text) == 4 * 4
        await pilot.press("enter", "l", "l", "h", "h", "h")
        assert scatter.names[scatter.cursor or 0].startswith("Ink")
        await pilot.press("escape")
        assert "Clay" in words(pilot, "#scatter")
        await pilot.press("slash", *'"wash ink"')
        await until(pilot, lambda: "0 of 4" in screen_text(pilot))
        await pilot.press("ctrl+u", *"ran>=8")
        await until(pilot, lambda: "did you mean rank?" in screen_text(pilot))
        await pilot.press("ctrl+u", *"rank>=8")
        await until(pilot, lambda: scatter.lit.tolist() == [r >= 8 for r in ranks])
        assert "sd15 in the base space" in screen_text(pilot)


async def test_colours_spaces_and_what_is_remembered(make_app: MakeApp) -> None:
    app = make_app()
    with Library.open(app.library) as library, library.transaction():
        keys = mapping.map_space(app.library).keys
        for field in ("cluster", "style"):
            for i, key in enumerate(keys):
                row = (key, field, f"{field} {i % 2}", "test", None)
                library.execute("INSERT INTO labels VALUES (?, ?, ?, ?, ?)", *row)
    async with app.run_test(size=(120, 40)) as pilot:
        scatter = await shown(pilot)
        assert "cluster 0" in words(pilot, "#legend").replace("\xa0", " ")
        await pilot.press("c")
        assert "style 1" in words(pilot, "#legend").replace("\xa0", " ")
        assert app.state.map_by == "style"
        app.theme = "ansi-dark"
        await pilot.press("b")
        await until(pilot, lambda: "sdxl in" in screen_text(pilot))
        assert list(scatter.names) == ["Watercolour"]
        await pilot.press("c", "u")
        said = [n.title for n in app._notifications]
        assert "Nothing to colour by" in said and "UMAP is not installed" in said
        await pilot.press("b")
        await until(pilot, lambda: len(scatter.names) == 4)


async def test_a_lora_of_the_library_is_found_on_the_map(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        table = await opened(pilot)
        for name in ("Ink line", "Watercolour"):  # the second is of another space
            await pilot.press("escape", "slash", *name, "enter", "m")
            await until(pilot, lambda: isinstance(app.screen, MapScreen))
            scatter = app.screen.query_one(Scatter)
            await until(pilot, lambda: scatter.cursor is not None)  # noqa: B023
            await until(pilot, lambda name=name: name in words(pilot, "#facts"))
            await pilot.press("1")
        assert table.row_count == 1


async def test_a_lora_that_the_filter_hides_is_found_and_walked_from(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        scatter = await shown(pilot)
        await pilot.press("slash", *"clay", "enter", "1")
        await pilot.press("slash", *"line", "enter", "m")
        await until(pilot, lambda: scatter.cursor is not None)
        assert scatter.names[scatter.cursor or 0] == "Ink line" and scatter.lit.all()
        for key in "hljk":
            await pilot.press(key)
        scatter.light(np.array([name == "[red]Clay" for name in scatter.names]))
        scatter.choose(list(scatter.names).index("Ink line"))
        await pilot.press("h")  # as the first step: to what is lit
        assert scatter.names[scatter.cursor or 0] == "[red]Clay"


async def test_the_first_map_is_of_the_space_of_the_lora_that_is_wanted(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("slash", *"watercolour", "enter", "m")
        await until(pilot, lambda: isinstance(app.screen, MapScreen))
        scatter = app.screen.query_one(Scatter)
        await until(pilot, lambda: scatter.cursor is not None)
        assert list(scatter.names) == ["Watercolour"]


async def test_a_lora_without_a_vector_is_said_to_be_nowhere(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("slash", *"operator", "enter", "m")
        await until(pilot, lambda: bool(app._notifications))
        (said,) = app._notifications
        assert said.title == "Not on the map" and "no vector" in said.message
        await pilot.press("1", "r", "3", "b")
        scatter = app.screen.query_one(Scatter)
        await until(pilot, lambda: len(scatter.names) == 4)
        assert scatter.cursor is None and len(app._notifications) == 1


async def test_a_map_that_comes_late_is_not_shown_over_a_newer_one(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, drawn, ended = threading.Event(), mapping.map_space, []

    def slow(path: Path, space: str | None = None):
        found = drawn(path, space)
        if found.space.startswith("sdxl"):
            gate.wait(10)
        ended.append(found.space)
        return found

    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        scatter = await shown(pilot)
        monkeypatch.setattr(mapping, "map_space", slow)
        await pilot.press("b", "b")  # there and back before it is drawn
        await until(pilot, lambda: len(ended) == 1)
        gate.set()
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert len(ended) == 2 and len(scatter.names) == 4


async def test_other_spaces_can_be_drawn_where_one_cannot(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = mapping.map_space

    def failing(path: Path, space: str | None = None):
        if space is None:
            raise LorajaxError("[b]it fails")
        return drawn(path, space)

    monkeypatch.setattr(mapping, "map_space", failing)
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("3")
        await until(pilot, lambda: "[b]it fails" in screen_text(pilot))
        await pilot.press("b")
        await until(pilot, lambda: "sdxl in" in screen_text(pilot))
        assert not app._notifications


async def test_umap_is_halted_when_nobody_waits_for_it(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapping, "has_umap", lambda: True)
    question = Answering(seconds=(20,))
    app = make_app(question=question)
    async with app.run_test(size=(120, 40)) as pilot:
        scatter = await shown(pilot)
        begun = time.monotonic()
        await pilot.press("u")
        await until(pilot, lambda: len(question.asked) == 1)
        await pilot.press("u")
        await until(pilot, lambda: "PCA →" in screen_text(pilot))
        await app.workers.wait_for_complete()
        assert "No map yet" not in screen_text(pilot) and scatter.display
        await pilot.press("u")
        await until(pilot, lambda: len(question.asked) == 2)
        assert question.asked[0][0] == "map"
    assert time.monotonic() - begun < 10


async def test_without_vectors_the_map_says_what_to_do(
    make_app: MakeApp, tmp_path: Path
) -> None:
    app = make_app(tmp_path / "none.sqlite")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: "No map yet" in screen_text(pilot))
        assert "lorajax index" in screen_text(pilot)
        await pilot.press("c", "b", "slash", "a", "escape", "enter", "l", "plus", "d")


async def test_what_was_posted_before_another_question_is_passed_over(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, MapScreen))
        screen = app.screen
        assert isinstance(screen, MapScreen)
        await until(pilot, lambda: screen.map is not None)
        shown = screen.map
        for late in (
            MapLoaded(0, mapping.map_space(app.library, "sdxl"), [], []),
            MapFailed(0, LorajaxError("late"), []),
        ):
            screen.post_message(late)
            await pilot.pause()
            assert screen.map is shown and "late" not in screen_text(pilot)


async def test_details_are_of_the_chosen_dot_or_of_none(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        scatter = await shown(pilot)
        await pilot.press("slash", *"ink", "enter", "l")
        await until(pilot, lambda: words(pilot, "#facts").startswith("Ink"))
        await pilot.press("slash", "ctrl+u", *"clay")
        await until(pilot, lambda: scatter.cursor is None)
        await until(pilot, lambda: not words(pilot, "#facts").strip())
        await pilot.press("enter", "l")
        await until(pilot, lambda: words(pilot, "#facts").startswith("[red]Clay"))
        await pilot.press("escape", "b")
        await until(pilot, lambda: list(scatter.names) == ["Watercolour"])
        await until(pilot, lambda: not words(pilot, "#facts").strip())


async def test_what_is_said_of_a_lora_colours_the_map(make_app: MakeApp) -> None:
    app = make_app()
    keys = mapping.map_space(app.library).keys
    labelling.change(app.library, keys, say=labelling.parse_words(["style=old"]))
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(pilot)
        assert "old" not in words(pilot, "#legend")  # all are alike
        await pilot.press("l", "e")
        await until(pilot, lambda: "old" in words(pilot, "#labels"))
        await pilot.press(*"style=novel", "enter")
        await until(pilot, lambda: "novel" in words(pilot, "#labels"))
        await pilot.press("escape")
        await until(pilot, lambda: "novel" in words(pilot, "#legend"))


async def test_arrows_move_on_the_map_after_the_details_of_a_narrow_screen(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        scatter = await shown(pilot)
        before = scatter.cursor
        await pilot.press("d", "d", "right", "left", "up", "down")
        await pilot.pause()
        assert app.focused is scatter and before is None and scatter.cursor is not None


async def test_details_stay_while_a_narrow_map_is_drawn_anew(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        scatter = await shown(pilot)
        screen = app.screen
        assert isinstance(screen, MapScreen)
        await until(pilot, lambda: app.focused is scatter)
        await pilot.press("right", "d")
        details, asked = screen.query_one(Details), screen._asked
        await until(pilot, lambda: app.focused is details)
        app.words_said += 1
        await until(pilot, lambda: screen._asked > asked)
        await until(pilot, lambda: not screen.is_at_work("map"))
        await pilot.pause(0.2)
        assert app.focused is details and details.display
        await pilot.press("d")
        await until(pilot, lambda: app.focused is scatter)
