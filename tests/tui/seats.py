"""Where a person sits: a real terminal (tmux), and a page of a real browser.

Both are written to and looked at in the same way, so that one road is walked in both.
"""

import asyncio
import base64
import io
import os
import shutil
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TMUX = shutil.which("tmux")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SIZE = (120, 36)
_CODES = {"Enter": 13, "F5": 116}
# The page keeps its terminal to itself; this finds it when it is made.
_FIND_TERMINAL = """
Object.defineProperty(Object.prototype, "fitAddon", {configurable: true, set(addon) {
  Object.defineProperty(this, "fitAddon", {value: addon});
  window.seat = this.terminal;
}});
"""
_READ_TERMINAL = """
(() => {
  const buffer = window.seat ? window.seat.buffer.active : {length: 0};
  const lines = [];
  for (let i = 0; i < buffer.length; i++)
    lines.push(buffer.getLine(i).translateToString(true));
  return lines.join("\\n");
})()
"""


class Seat(ABC):
    """A keyboard and a screen."""

    @abstractmethod
    async def shown(self) -> str:
        """What is on the screen, line by line."""

    @abstractmethod
    async def write(self, text: str) -> None:
        """Types a text."""

    @abstractmethod
    async def press(self, key: str) -> None:
        """Presses Enter or F5, or a letter with Ctrl, as `C-u`."""

    async def see(self, *texts: str, gone: str = "\0", seconds: float = 60) -> str:
        """Waits until all of some texts are on the screen, and returns it.

        Args:
          gone: what must not be on it any more.
        """
        end = time.monotonic() + seconds
        screen = await self.shown()
        while gone in screen or not all(text in screen for text in texts):
            words = f"expected {texts} on the screen and no {gone!r}, found\n{screen}"
            assert time.monotonic() < end, words
            await asyncio.sleep(0.1)
            screen = await self.shown()
        return screen


class Terminal(Seat):
    """A window of tmux, with a server of its own."""

    def __init__(self, home: Path) -> None:
        assert TMUX is not None
        self._tmux = [TMUX, "-u", "-S", str(home / "tmux"), "-f", os.devnull]

    def start(self, command: Sequence[str], environment: dict[str, str]) -> None:
        """Runs a command in a fresh window; it closes when the command ends."""
        width, height = SIZE
        words = ["new-session", "-d", "-x", str(width), "-y", str(height), *command]
        subprocess.run([*self._tmux, *words], env=environment, check=True)

    def _ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self._tmux, *words], capture_output=True, text=True)

    async def closed(self) -> None:
        """Waits until the command has ended."""

        async def gone() -> bool:
            return self._ask("has-session").returncode != 0

        await until(gone)

    def close(self) -> None:
        self._ask("kill-server")

    async def shown(self) -> str:
        return self._ask("capture-pane", "-p").stdout

    async def write(self, text: str) -> None:
        self._ask("send-keys", "-l", text)

    async def press(self, key: str) -> None:
        self._ask("send-keys", key)


class Page(Seat):
    """A page of a browser, driven by the browser's own protocol.

    Args:
      send: sends a command of the protocol and returns its answer.
    """

    def __init__(self, send: Callable[..., Awaitable[dict[str, Any]]]) -> None:
        self._send = send

    async def open(self, url: str) -> None:
        """Opens a page that holds a terminal, and takes the keyboard to it."""
        script = {"source": _FIND_TERMINAL}
        await self._send("Page.enable")
        await self._send("Page.addScriptToEvaluateOnNewDocument", **script)
        await self._send("Page.navigate", url=url)
        await self.see("lorajax")
        await self.evaluate("window.seat.focus()")

    async def evaluate(self, script: str) -> Any:
        answer = await self._send("Runtime.evaluate", expression=script)
        return answer["result"].get("value")

    async def shown(self) -> str:
        return await self.evaluate(_READ_TERMINAL) or ""

    async def write(self, text: str) -> None:
        for sign in text:
            words = {"key": sign, "text": sign, "unmodifiedText": sign}
            await self._send("Input.dispatchKeyEvent", type="keyDown", **words)
            await self._send("Input.dispatchKeyEvent", type="keyUp", key=sign)

    async def press(self, key: str) -> None:
        letter = key.removeprefix("C-")
        held = {"modifiers": 2} if key.startswith("C-") else {}
        code = _CODES.get(key) or ord(letter.upper())
        words = {"key": letter, "windowsVirtualKeyCode": code, **held}
        await self._send("Input.dispatchKeyEvent", type="keyDown", **words)
        await self._send("Input.dispatchKeyEvent", type="keyUp", **words)

    async def pixels(self) -> np.ndarray:
        """The picture of the page, `[h, w, 3]`."""
        answer = await self._send("Page.captureScreenshot", format="png")
        image = Image.open(io.BytesIO(base64.b64decode(answer["data"])))
        return np.asarray(image.convert("RGB"), int)


@asynccontextmanager
async def browsing(home: Path) -> AsyncIterator[Page]:
    """An empty page of Chromium."""
    import aiohttp

    assert CHROMIUM is not None
    port = free_port()
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu"]
    command += [f"--remote-debugging-port={port}", "--window-size=1200,800"]
    command += [f"--user-data-dir={home / 'profile'}", "about:blank"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        place = f"http://127.0.0.1:{port}/json"
        await until(lambda: answers(place))
        async with aiohttp.ClientSession() as session:
            async with session.get(place) as listed:
                pages = await listed.json(content_type=None)
            (url,) = [p["webSocketDebuggerUrl"] for p in pages if p["type"] == "page"]
            async with session.ws_connect(url, max_msg_size=0) as wire:
                yield Page(_sender(wire))
    finally:
        process.terminate()
        process.wait(20)


def _sender(wire: Any) -> Callable[..., Awaitable[dict[str, Any]]]:
    async def send(method: str, **words: Any) -> dict[str, Any]:
        await wire.send_json({"id": 1, "method": method, "params": words})
        while (answer := await wire.receive_json()).get("id") != 1:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    return send


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def answers(url: str) -> bool:
    """Whether a server is there already."""
    import aiohttp

    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(url) as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False


async def until(is_true: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not await is_true():
        assert time.monotonic() < end, "it never came true"
        await asyncio.sleep(0.2)
