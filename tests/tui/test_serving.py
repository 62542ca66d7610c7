"""The application in a browser: who is let in, and that a real browser shows it."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.tui.seats import CHROMIUM, browsing
from tests.tui.serving import served

aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("textual_serve")
BRAND = (0xE6, 0xC3, 0x84)  # the accent of the dark theme


@pytest.fixture
def words(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments of an application that keeps nothing elsewhere."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return ["--library", str(library), "--runs", str(tmp_path)]


@pytest.mark.slow
async def test_only_its_own_page_is_let_in(make_app, words) -> None:
    async with served(words) as place, aiohttp.ClientSession() as session:
        for name, value in (("Origin", "http://evil.example"), ("Host", "evil:80")):
            for path in ("/", "/ws"):
                headers = {name: value}
                async with session.get(f"http://{place}{path}", headers=headers) as no:
                    assert no.status == 403
        async with session.get(f"http://{place}/") as page:
            assert "default-src 'none'" in page.headers["Content-Security-Policy"]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
async def test_a_browser_shows_it_and_keys_reach_it(make_app, words, tmp_path) -> None:
    state = tmp_path / "lorajax" / "tui.json"
    async with served(words) as place, browsing(tmp_path) as page:
        await page.open(f"http://{place}/")
        await page.see("Ink wash", "赛博朋克")
        await page.write("6")
        await page.see("Nothing has been measured yet")
        assert json.loads(state.read_text())["screen"] == "evaluate"
        top = (await page.pixels())[:60]
        assert (np.abs(top - BRAND).max(-1) < 12).sum() > 20  # it is painted, too
