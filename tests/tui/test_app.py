"""The application as a whole: start, keys, memory, size, and what it never imports."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.style import Style

from lorajax.library import Facts, FileStamp, Place
from lorajax.library.store.library import Library
from lorajax.service.learning import runs as runs_service
from lorajax_tui import words
from lorajax_tui.app import LorajaxApp
from lorajax_tui.collection import Collection
from lorajax_tui.screens import train
from lorajax_tui.screens.compare import CompareScreen
from lorajax_tui.screens.log import LogScreen
from lorajax_tui.screens.map import MapScreen
from lorajax_tui.screens.neighbours import NeighboursScreen
from lorajax_tui.state import State, load_state, save_state
from lorajax_tui.themes import colours, palette
from lorajax_tui.widgets.meter import meter
from tests.tui.conftest import ROOT, MakeApp
from tests.tui.driving import opened, screen_text, until
from tests.tui.driving import words as words_of

HEAVY = "jax flax optax orbax sklearn matplotlib pandas"
CODE = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tui")!r}]
import lorajax_tui.app, lorajax_tui.screens.neighbours, lorajax_tui.screens.train
import lorajax_tui.screens.index_dialog, lorajax_tui.screens.help
import lorajax_tui.screens.map, lorajax_tui.screens.label, lorajax_tui.screens.compare
import lorajax_tui.screens.columns_dialog, lorajax.service.likeness.comparing
import lorajax_tui.screens.evaluate, lorajax_tui.screens.settings
import lorajax_tui.screens.labels, lorajax_tui.screens.why, lorajax_tui.screens.log
import lorajax_tui.screens.duplicates, lorajax_tui.screens.plan_dialog
import lorajax.service.likeness.ladder_documents, lorajax.service.likeness.explaining
import lorajax.service.learning.settings, lorajax.service.asking
import lorajax.adapters.adapter, lorajax.adapters.algebra, lorajax.pictures.small
sys.exit(", ".join(name for name in "{HEAVY}".split() if name in sys.modules) or 0)
"""


def test_no_screen_imports_jax() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_and_version_come_without_a_screen() -> None:
    for option, said in (("--help", "--serve"), ("--version", "lorajax")):
        command = [sys.executable, "-m", "lorajax_tui", option]
        environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tui'}", "PATH": ""}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0 and said in done.stdout


async def test_numbers_switch_screens_and_help_lists_keys(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(100, 40)) as pilot:
        await opened(pilot)
        await pilot.press("question_mark")
        text = screen_text(pilot)
        assert "Library: keys" in text and "Filter" in text and "Quit" in text
        await pilot.press("5", "escape", "5")
        assert app.current_mode == "train"
        await pilot.press("f1")
        assert "Train: keys" in screen_text(pilot)
        await pilot.press("escape", "2", "1", "q")
    assert app.return_code == 0


async def test_ctrl_q_ends_it_from_a_dialog(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(100, 40)) as pilot:
        await opened(pilot)
        await pilot.press("e", "ctrl+q")
        await pilot.pause()
    assert app.return_code == 0


async def test_choices_are_remembered(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        app.theme = "washi"
        await pilot.press("2")
    again = make_app()
    async with again.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        assert (again.theme, again.current_mode) == ("washi", "neighbours")


def test_an_odd_state_file_is_no_trouble(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "state.json"
    assert load_state(file) == State()
    save_state(file, State(theme="washi", screen="train"))
    assert load_state(file) == State(theme="washi", screen="train")
    file.write_text('{"theme": 3, "odd": "x", "screen": "train"}')
    assert load_state(file) == State(screen="train")
    file.write_text("[")
    assert load_state(file) == State()


async def test_what_nobody_foresaw_is_said_once(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: object) -> None:
        raise OSError("the disk is [away]")

    monkeypatch.setattr(train, "_LIST_SECONDS", 0.1)
    monkeypatch.setattr(runs_service, "list_runs", away)
    monkeypatch.setattr(runs_service, "read_log", away)
    app = make_app()
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("5")
        await until(pilot, lambda: "OSError: the disk is [away]" in screen_text(pilot))
        await pilot.pause(0.5)
        assert len(app._notifications) == 1
        app.clear_notifications()
        app._unforeseen.clear()
        app.push_screen(LogScreen(Path("runs", "one")))
        await until(pilot, lambda: "OSError: the disk is [away]" in screen_text(pilot))


async def test_a_comparison_left_open_hides_no_other_lora(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(pilot)
        await pilot.press("enter", "3", "1", "down")
        for number, kind in (("2", NeighboursScreen), ("3", MapScreen)):
            await pilot.press(number)
            app.push_screen(CompareScreen("a", "b"))
            await pilot.press("1", "enter" if kind is NeighboursScreen else "m")
            await until(pilot, lambda kind=kind: isinstance(app.screen, kind))
        await until(pilot, lambda: "Ink line" in words_of(pilot, "#facts"))
        await pilot.press("2")
        assert words_of(pilot, "#trail") == "Ink line"


async def test_a_pin_is_told_before_all_is_read(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(pilot)
        app.first_page, app.collection = app.collection, None
        await pilot.press("p", "p")
        said = [(n.title, n.message) for n in app._notifications]
        assert said == [
            ("Pinned", "v compares another with [red]Clay."),
            ("Let go", "Nothing is pinned."),
        ]


@pytest.mark.slow
async def test_every_screen_lives_with_other_themes(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        for theme in ("textual-light", "ansi-dark", "ansi-light", "gruvbox"):
            app.theme = theme
            assert meter(0.3, 10, colours(app)).cell_len == 10
            for colour in (*colours(app).values(), *palette(app)):
                Style.parse(colour)  # all are what Rich knows
            await pilot.press("enter", "3", "4", "5", "6", "7", "1")
            assert "Ink wash" in screen_text(pilot)


async def test_no_colour_is_respected(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        assert app.no_color and "Ink wash" in screen_text(pilot)


async def test_a_hundred_thousand_loras_open_and_filter(tmp_path: Path) -> None:
    """Not timed strictly: the bound only tells lazily made rows from made ones."""
    path = tmp_path / "library.sqlite"
    with Library.open(path) as library:
        library.upsert(
            "k", Facts("x", "sd15"), Place(tmp_path / "x", FileStamp(1, 2, 3))
        )
        columns = library.columns()
    many = {name: values * 100_000 for name, values in columns.items()}
    many["key"] = [f"{i:06d}" for i in range(100_000)]
    many["name"] = [f"style {i:06d} 水墨" for i in range(100_000)]
    app = LorajaxApp(path, tmp_path / "runs", tmp_path / "state.json")
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(pilot)
        begun = time.monotonic()
        app.collection = Collection(path, many)
        table = await opened(pilot)
        await until(pilot, lambda: table.row_count == 100_000)
        await pilot.press("G")
        assert "style 099999" in screen_text(pilot)
        await pilot.press("slash", *"0424", "2")
        assert table.row_count == 11
        assert time.monotonic() - begun < 10


def test_words_are_made_harmless_and_short() -> None:
    assert words.safe("a\x1b[31m\u202eb\tc\n") == "a[31mb c "
    assert words.safe("浮世絵 👩‍🎨 [red]") == "浮世絵 👩‍🎨 [red]"
    assert words.duration(42.4) == "42 s" and words.duration(200) == "3 min 20 s"
    assert words.duration(7500) == "2 h 05 min"
    assert words.ago(0, 30) == "just now" and words.ago(0, 7300) == "2 h ago"
    assert words.count(1, "file") == "1 file"
    assert words.count(1204, "file") == "1,204 files"
    assert words.rank(4, 8) == "4–8" and words.rank(8, 8) == "8"
