"""The application in a browser: who is let in, and that a real browser shows it."""

import asyncio
import base64
import io
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("textual_serve")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
BRAND = (0xE6, 0xC3, 0x84)  # the accent of the dark theme


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@asynccontextmanager
async def served(library: Path, home: Path) -> AsyncIterator[str]:
    """`lorajax-tui --serve` over a library; its place."""
    import os

    port = free_port()
    words = ["--library", str(library), "--runs", str(home), "--serve"]
    command = [sys.executable, "-m", "lorajax_tui", *words, "--port", str(port)]
    environment = {**os.environ, "XDG_STATE_HOME": str(home)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    place = f"127.0.0.1:{port}"
    try:
        await until(lambda: answers(f"http://{place}/"))
        yield place
    finally:
        process.terminate()
        process.wait(20)


async def answers(url: str) -> bool:
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(url) as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False


async def until(is_true: Callable[[], Awaitable[bool]], seconds: float = 40) -> None:
    for _ in range(int(seconds * 5)):
        if await is_true():
            return
        await asyncio.sleep(0.2)
    raise AssertionError("it never came true")


@pytest.mark.slow
async def test_only_its_own_page_is_let_in(make_app, library, tmp_path) -> None:
    async with served(library, tmp_path) as place, aiohttp.ClientSession() as session:
        for name, value in (("Origin", "http://evil.example"), ("Host", "evil:80")):
            for path in ("/", "/ws"):
                headers = {name: value}
                async with session.get(f"http://{place}{path}", headers=headers) as no:
                    assert no.status == 403
        async with session.get(f"http://{place}/") as page:
            assert "default-src 'none'" in page.headers["Content-Security-Policy"]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
async def test_a_browser_shows_it_and_keys_reach_it(
    make_app, library, tmp_path
) -> None:
    state = tmp_path / "lorajax" / "tui.json"
    async with served(library, tmp_path) as place, browsing(place, tmp_path) as page:
        await until(lambda: shows_brand(page))
        for kind in ("mousePressed", "mouseReleased"):  # the page takes the keys
            where = {"x": 600, "y": 300, "button": "left", "clickCount": 1}
            await page("Input.dispatchMouseEvent", type=kind, **where)
        for key in "56":
            code = {
                "key": key,
                "code": f"Digit{key}",
                "windowsVirtualKeyCode": ord(key),
            }
            await page("Input.dispatchKeyEvent", type="keyDown", text=key, **code)
            await page("Input.dispatchKeyEvent", type="keyUp", **code)
            await asyncio.sleep(0.5)

        async def there() -> bool:
            return state.exists() and json.loads(state.read_text())["screen"] == (
                "evaluate"
            )

        await until(there)
        assert await shows_brand(page)


@asynccontextmanager
async def browsing(place: str, home: Path) -> AsyncIterator[Callable[..., Any]]:
    """A page of the browser; a call of it sends a command of its protocol."""
    assert CHROMIUM is not None
    port = free_port()
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu"]
    command += [
        f"--remote-debugging-port={port}",
        f"--user-data-dir={home / 'profile'}",
    ]
    command += ["--window-size=1200,800", f"http://{place}/"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        await until(lambda: answers(f"http://127.0.0.1:{port}/json"))
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json") as listed:
                pages = await listed.json(content_type=None)
            (url,) = [p["webSocketDebuggerUrl"] for p in pages if p["type"] == "page"]
            async with session.ws_connect(url, max_msg_size=0) as socket_:

                async def send(method: str, **words: Any) -> dict[str, Any]:
                    await socket_.send_json(
                        {"id": 1, "method": method, "params": words}
                    )
                    while (answer := await socket_.receive_json()).get("id") != 1:
                        pass
                    return answer["result"]

                yield send
    finally:
        process.terminate()
        process.wait(20)


async def shows_brand(page: Callable[..., Any]) -> bool:
    """Whether the picture of the page has the brand's colour in its first lines."""
    answer = await page("Page.captureScreenshot", format="png")
    picture = Image.open(io.BytesIO(base64.b64decode(answer["data"]))).convert("RGB")
    pixels = np.asarray(picture, int)[:60]
    return bool((np.abs(pixels - BRAND).max(-1) < 12).sum() > 20)
