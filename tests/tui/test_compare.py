"""Comparing two LoRAs, their strength by block, and the columns of the table."""

import asyncio
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from textual.widgets import DataTable, SelectionList

from lorajax.errors import LorajaxError
from lorajax.library import Library, index
from lorajax.service.collection.describing import describe
from lorajax.service.likeness import comparing
from lorajax.service.likeness.comparing import compare
from lorajax_tui.screens.compare import CompareScreen, short_module
from lorajax_tui.screens.library import LibraryScreen
from lorajax_tui.screens.neighbours import NearTable, NeighboursScreen
from lorajax_tui.widgets.columns import fitting
from lorajax_tui.widgets.strengths import short_block
from tests.library.fakes import FakeEmbedder
from tests.tui.conftest import MakeApp
from tests.tui.driving import opened, screen_text, until, words

REAL = Path(__file__).parents[1] / "data" / "real"
NAMES = ("lora_disney", "lora_disney_inpainting")


@pytest.fixture(scope="module")
def real_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of two real LoRAs."""
    folder = tmp_path_factory.mktemp("real")
    files = [Path(shutil.copy(REAL / f"{n}.safetensors", folder)) for n in NAMES]

    class Embedder(FakeEmbedder):
        def embed(self, adapter: object) -> np.ndarray:
            return np.eye(4, dtype="f4")[0]

    with Library.open(folder / "library.sqlite") as library:
        index(library, files, describe, Embedder())
    return folder / "library.sqlite"


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_two_loras_are_compared_module_by_module(
    make_app: MakeApp, real_library: Path, size: tuple[int, int]
) -> None:
    app = make_app(real_library)
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        await pilot.press("v")
        assert any("Nothing to compare with" in n.title for n in app._notifications)
        await pilot.press("p", "j", "v")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        table = app.screen.query_one(DataTable)
        await until(pilot, lambda: table.row_count > 0)
        expected = compare(real_library, *NAMES)
        assert table.row_count == len(expected.modules)
        text = screen_text(pilot)
        assert all(name in text for name in NAMES)
        assert f"cosine {expected.cosine:.3f}" in text
        assert f"{expected.modules[0].cosine:.3f}" in text
        await pilot.press("s")
        best = max(pair.cosine for pair in expected.modules if pair.cosine is not None)
        assert f"{best:.3f}" in str(table.get_row_at(0)[1])
        await pilot.press("s")
        strongest = max(expected.modules, key=lambda pair: max(pair.norms))
        assert f"{strongest.norms[0]:.3g}" in str(table.get_row_at(0)[0])
        await pilot.press("question_mark")
        assert "Compare: keys" in screen_text(pilot)
        await pilot.press("escape", "escape")
        assert isinstance(app.screen, LibraryScreen)
        await pilot.press("k", "p")
        assert app.pinned is None


async def test_a_neighbour_is_compared_with_whose_neighbour_it_is(
    make_app: MakeApp, real_library: Path
) -> None:
    app = make_app(real_library)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, NeighboursScreen))
        near = app.screen.query_one(NearTable)
        await until(pilot, lambda: near.row_count == 1)
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        await until(pilot, lambda: "of the whole" in screen_text(pilot))
        await pilot.press("escape")
        assert isinstance(app.screen, NeighboursScreen)


async def test_two_that_cannot_be_compared_say_why(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("p", "G", "v")
        await until(pilot, lambda: "Nothing to compare" in screen_text(pilot))
        assert "two LoRAs of one base model" in screen_text(pilot)


async def test_comparisons_that_nobody_waits_for_keep_no_thread(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, begun = threading.Event(), []

    def slow(*args: object, **more: object) -> None:
        begun.append(args)
        gate.wait(20)
        raise LorajaxError("it was slow")

    monkeypatch.setattr(comparing, "compare", slow)
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        with ThreadPoolExecutor(3) as threads:
            asyncio.get_running_loop().set_default_executor(threads)
            await opened(pilot)
            await pilot.press("p", "j")
            for _ in range(4):
                await pilot.press("v")
                await until(pilot, lambda: isinstance(app.screen, CompareScreen))
                await pilot.pause(0.1)
                await pilot.press("escape")
            await pilot.press("j")
            try:
                await until(pilot, lambda: "Ink wash" in words(pilot, "#facts"), 5)
                assert len(begun) == 1
            finally:
                gate.set()


async def test_details_show_where_an_update_is_strong(
    make_app: MakeApp, real_library: Path
) -> None:
    app = make_app(real_library)
    async with app.run_test(size=(120, 60)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "where it is strong" in screen_text(pilot))
        assert "unet.down.1" in words(pilot, "#strengths")


async def test_columns_are_chosen_and_remembered(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        table = await opened(pilot)
        await pilot.press("o")
        choices = app.screen.query_one(SelectionList)
        choices.deselect_all()
        await pilot.click("#show")
        assert "No column is ticked" in screen_text(pilot)
        show = app.screen.query_one("#show")
        await until(pilot, lambda: not show.has_class("-active"))
        choices.select("format").select("rank_max")
        await pilot.click("#show")
        assert [spec.name for spec in table._specs()] == ["name", "rank_max", "format"]
        assert "Format" in screen_text(pilot) and "Tier" not in screen_text(pilot)
        await pilot.press("o", "escape")
    again = make_app()
    async with again.run_test(size=(120, 36)) as pilot:
        table = await opened(pilot)
        assert table.shown_columns() == ("rank_max", "format")
        await pilot.press("o")
        await pilot.click("#width")
        assert again.state.columns == "" and "Tier" in screen_text(pilot)


def test_columns_that_do_not_fit_are_left_out_from_the_right() -> None:
    chosen = ("rank_max", "tier", "tags", "format", "key")
    for width in (30, 60, 90, 200):
        shown = fitting(width, chosen=chosen)
        assert shown[0].name == "name"
        assert sum(spec.width + 2 for spec in shown) <= max(width, 20)
        assert [s.name for s in shown[1:]] == list(chosen[: len(shown) - 1])
    assert len(fitting(200, chosen=chosen)) == 6


def test_long_names_keep_what_tells_them_apart() -> None:
    module = "unet.up_blocks.3.attentions.1.transformer_blocks.0.attn1.to_q"
    assert short_module(module, 80) == module
    short = short_module(module, 30)
    assert len(short) == 30
    assert short.startswith("unet.up.3…") and short.endswith("attn1.to_q")
    assert short_block("text_encoder.text_model.encoder.layers.3") == (
        "text_encoder.layers.3"
    )
