"""One road in a real terminal and in a real browser, with nothing faked.

A folder is indexed into a fresh library, filtered and searched; a run is started,
seen to learn, and stopped; it is found again on the next start.
"""

import os
import sys
from pathlib import Path

import pytest
import yaml

from lorajax.config.zoo import ZooSettings
from lorajax.service.learning.runs import list_runs
from lorajax.zoo.collection.synthetic import write_synthetic
from tests.conftest import TINY
from tests.tui.conftest import ROOT
from tests.tui.seats import CHROMIUM, TMUX, Seat, Terminal, browsing
from tests.tui.serving import served

TABLE_KEYS = "⏎ Neighbours"  # stands at the bottom while the table has the focus
STYLES, EACH = 8, 3
COUNT = STYLES * EACH
MODULE = (sys.executable, "-m", "lorajax_tui")
ENDLESS = 100_000  # steps: it has to be stopped


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in: LoRAs, a configuration, and nothing known yet."""
    settings = ZooSettings(styles=STYLES, loras_per_style=EACH, synthetic=True)
    (tmp_path / "loras").mkdir()
    write_synthetic(tmp_path / "loras", settings, lambda done, total: None)
    (tmp_path / "configs").mkdir()
    config = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    config["collection"] = {"path": str(tmp_path / "loras")}
    config["training"]["steps"] = ENDLESS
    (tmp_path / "configs" / "base.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(tmp_path)
    places = f"{ROOT}{os.pathsep}{ROOT / 'tui'}"
    for name, value in (("XDG_STATE_HOME", str(tmp_path)), ("PYTHONPATH", places)):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LANG", "C.UTF-8")
    return tmp_path


def words(home: Path) -> list[str]:
    return ["--library", str(home / "library.sqlite"), "--runs", str(home / "runs")]


async def index_and_search(seat: Seat) -> None:
    """From nothing to the neighbours of one LoRA."""
    await seat.see("Your library is empty")
    await seat.write("i")
    await seat.see("Index a folder")
    await seat.press("C-u")
    await seat.see(gone=f" {Path.home()} ")
    await seat.write("loras")
    await seat.see(" loras ")
    await seat.press("Enter")
    await seat.see(f"{COUNT} LoRAs", "000000-synthetic", TABLE_KEYS, seconds=120)
    await seat.write("/")
    await seat.see(gone=TABLE_KEYS)  # the line has the focus
    await seat.write("00005")
    await seat.see(f"1 of {COUNT}")
    await seat.press("Enter")
    await seat.see(TABLE_KEYS)
    await seat.press("Enter")
    screen = await seat.see(f"{COUNT - 1} of lorajax-zoo-1 in the base space")
    assert "Similarity" in screen and "000005-synthetic" in screen


async def train_and_stop(seat: Seat, home: Path) -> None:
    """A run is started, learns, and is stopped with a checkpoint."""
    await seat.write("5")
    await seat.see("No runs yet", "base")
    await seat.write("e")
    await seat.see("Put back")
    await seat.press("F5")
    await seat.see("● running", seconds=120)
    await seat.see("Loss", " left", seconds=120)  # it has a pace
    await seat.write("s")
    await seat.see("■ stopped", seconds=120)
    (run,) = list_runs(home / "runs")
    assert run.state == "stopped" and run.status is not None and run.status.step > 0
    assert any(path.is_dir() for path in run.path.iterdir())  # the checkpoint


@pytest.mark.slow
@pytest.mark.skipif(TMUX is None, reason="needs tmux")
async def test_the_road_in_a_terminal(home: Path) -> None:
    terminal = Terminal(home)
    try:
        terminal.start([*MODULE, *words(home)], dict(os.environ))
        await index_and_search(terminal)
        await train_and_stop(terminal, home)
        await terminal.write("q")
        await terminal.closed()
        terminal.start([*MODULE, *words(home)], dict(os.environ))
        (run,) = list_runs(home / "runs")
        await terminal.see("5 Train", "■ stopped", run.name)
        await terminal.write("q")
        await terminal.closed()
    finally:
        terminal.close()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
async def test_the_road_in_a_browser(home: Path) -> None:
    pytest.importorskip("textual_serve")
    async with served(words(home)) as place, browsing(home) as page:
        await page.open(f"http://{place}/")
        await index_and_search(page)
        await train_and_stop(page, home)
        await page.open(f"http://{place}/")  # a page is an application of its own
        (run,) = list_runs(home / "runs")
        await page.see("5 Train", "■ stopped", run.name)
