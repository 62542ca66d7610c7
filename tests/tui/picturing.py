"""Screens as text that a person can read in a diff, and as pictures.

A snapshot has three parts: the words of the screen, a sign a cell for how it looks, and
what the signs mean. Texts are kept in `snapshots/`; the pictures of the documentation
are drawn in the same breath, when the texts are updated.
"""

import asyncio
import re
import time
from collections import Counter
from html import unescape
from pathlib import Path
from string import ascii_letters, digits
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input

ROOT = Path(__file__).parents[2]
KEPT = Path(__file__).with_name("snapshots")
SEEN = ROOT / "build" / "snapshots"
IMAGES = ROOT / "docs" / "images"
DOCS, SMALL = (120, 36), (80, 24)
_SIGNS = ascii_letters + digits + "!#$%&+/<=>?@^~"
_COMMONEST, _PIXEL = ".", "*"
_ATTRIBUTES = ("bold", "dim", "italic", "underline", "strike", "reverse")
_SECONDS = 6.0
_REST = 0.8
# Fonts are not fetched: who has this one sees it, others see theirs.
_TEXT = re.compile(r'(<text [^>]*)textLength="[^"]*"([^>]*)>([^<]*)</text>')
_CELL = 12.2  # of the pictures' units
_FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


class Snapshots:
    """Holds screens against what is kept of them.

    Args:
      update: keep what is seen now instead; pictures of it lie in `build/snapshots`.
    """

    def __init__(self, update: bool) -> None:
        self._update = update

    async def __call__(self, pilot: Pilot[Any], name: str, image: str = "") -> None:
        """Waits for the screen to look as it did.

        Args:
          image: of the documentation, which shows this screen.
        """
        app, kept = pilot.app, KEPT / f"{name}.txt"
        for typed in app.screen.query(Input):
            typed.cursor_blink = False
        if self._update:
            kept.parent.mkdir(exist_ok=True)
            kept.write_text(await rested(app), encoding="utf-8")
            _keep_picture(app, name)
            if image:
                (IMAGES / image).write_text(picture(app), encoding="utf-8")
            return
        expected = kept.read_text(encoding="utf-8") if kept.is_file() else ""
        end = time.monotonic() + _SECONDS
        while (found := as_text(app)) != expected and time.monotonic() < end:
            await asyncio.sleep(0.02)
        assert found == expected, _said(app, name, found, expected)


async def both_sizes(pilot: Pilot[Any], snapshot: Snapshots, name: str) -> None:
    """Holds the screen in its small and light form as well."""
    await pilot.resize_terminal(*SMALL)
    pilot.app.theme = "washi"
    await snapshot(pilot, f"{name}-small")
    pilot.app.theme = "sumi"
    await pilot.resize_terminal(*DOCS)


def _said(app: App[Any], name: str, found: str, expected: str) -> str:
    """Keeps what was seen, and says where to look at it."""
    _keep_picture(app, name)
    (SEEN / f"{name}.txt").write_text(found, encoding="utf-8")
    pairs = zip(found.splitlines(), expected.splitlines(), strict=False)
    number = next((i for i, (a, b) in enumerate(pairs, 1) if a != b), 0)
    return (
        f"{name}: expected what tests/tui/snapshots/{name}.txt shows, found another "
        f"screen from line {number} on: look at build/snapshots/{name}.svg, and diff "
        f"build/snapshots/{name}.txt; where it is meant, run pytest -m slow with "
        "--update-snapshots"
    )


def _keep_picture(app: App[Any], name: str) -> None:
    SEEN.mkdir(parents=True, exist_ok=True)
    (SEEN / f"{name}.svg").write_text(picture(app), encoding="utf-8")


async def rested(app: App[Any], seconds: float = _REST) -> str:
    """The screen once it has not changed for a moment.

    A dialog is opened over such a one: what lies below it is not drawn any further.
    """
    seen, since = as_text(app), time.monotonic()
    while time.monotonic() - since < seconds:
        await asyncio.sleep(0.05)
        if (now := as_text(app)) != seen:
            seen, since = now, time.monotonic()
    return seen


def as_text(app: App[Any]) -> str:
    """The screen as three blocks: words, looks, and what the signs of looks mean."""
    rows = [_cells(line) for line in _lines(app)]
    counts = Counter(look for row in rows for _, look in row)
    counts.pop(_PIXEL, None)
    commonest = counts.most_common(1)[0][0]
    signs = {_PIXEL: _PIXEL, commonest: _COMMONEST}
    free = (sign for sign in _SIGNS)
    for look in (look for row in rows for _, look in row):
        if look not in signs:
            signs[look] = next(free)
    words = ["".join(sign for sign, _ in row).rstrip() for row in rows]
    looks = ["".join(signs[look] for _, look in row) for row in rows]
    legend = [f"{sign}  {look}" for look, sign in signs.items() if look != _PIXEL]
    head = f"{app.size.width} x {app.size.height}, {app.theme}"
    return "\n".join([head, "", *words, "", *looks, "", *legend, ""])


def _lines(app: App[Any]) -> list[list[Segment]]:
    """The lines that the application would write to its terminal."""
    width, height = app.size
    console = Console(width=width, height=height, color_system="truecolor")
    # As `App.export_screenshot` does, which gives a picture only.
    drawn = app.screen._compositor.render_update(
        full=True, screen_stack=app._background_screens
    )
    assert drawn is not None  # `full` draws everything
    segments = [part for part in console.render(drawn) if not part.control]
    return list(Segment.split_lines(segments))[:height]


def _cells(line: list[Segment]) -> list[tuple[str, str]]:
    """Cell by cell what is written and how; the second half of a wide sign is empty."""
    cells: list[tuple[str, str]] = []
    for text, style, _ in line:
        for sign in text:
            look = _PIXEL if sign == "▀" else _look(style or Style.null())
            # what only joins others takes no cell
            if not (width := cell_len(sign)) and cells:
                cells[-1] = (cells[-1][0] + sign, cells[-1][1])
            cells += [(sign, look), ("", look)][:width]
    return cells


def _look(style: Style) -> str:
    words = [name for name in _ATTRIBUTES if getattr(style, name)]
    words += [style.color.name] if style.color else []
    words += [f"on {style.bgcolor.name}"] if style.bgcolor else []
    return " ".join(words)


def picture(app: App[Any]) -> str:
    """The screen as SVG."""
    drawn = app.export_screenshot(title="lorajax", simplify=True)
    return _TEXT.sub(_widened, _FONT_FACE.sub("", drawn))


def _widened(found: re.Match[str]) -> str:
    """A text as wide as its cells are: Rich reckons a cell for every character."""
    before, after, text = found.groups()
    width = cell_len(unescape(text)) * _CELL
    return f'{before}textLength="{width:.1f}"{after}>{text}</text>'
