"""A picture in half cells: two pixels to a cell, in every terminal with colours."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget


class Picture(Widget):
    """RGB pixels as large as the widget allows, in the middle of it, undistorted."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._pixels: np.ndarray | None = None
        self._strips: list[Strip] = []
        self._drawn_for: Size | None = None

    def show(self, pixels: np.ndarray | None) -> None:
        """Shows a picture `[h, w, 3]`, or nothing."""
        self._pixels, self._drawn_for = pixels, None
        self.refresh(layout=True)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._drawn_for = None  # another theme has another ground

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As high as the picture is at this width."""
        if self._pixels is None:
            return 0
        high, wide, _ = self._pixels.shape
        return max(1, round(width * high / wide / 2))

    def render_line(self, y: int) -> Strip:
        if self._drawn_for != self.size:
            self._strips = self._draw()
            self._drawn_for = self.size
        known = y < len(self._strips)
        return self._strips[y] if known else self._blank(self.size.width)

    def _blank(self, width: int) -> Strip:
        return Strip.blank(width, self.rich_style)

    def _draw(self) -> list[Strip]:
        if self._pixels is None or not self.size:
            return []
        pixels = _resized(self._pixels, self.size.width, 2 * self.size.height)
        rows, columns = len(pixels) // 2, pixels.shape[1]
        left = (self.size.width - columns) // 2
        above = (self.size.height - rows) // 2
        right = self.size.width - columns - left
        lines = [
            Strip.join([self._blank(left), _strip(*pair), self._blank(right)])
            for pair in zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True)
        ]
        return [self._blank(self.size.width)] * above + lines


def _resized(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """The pixels scaled to fit, with an even number of rows."""
    from PIL import Image

    high, wide, _ = pixels.shape
    share = min(width / wide, height / high)
    columns, rows = max(1, round(wide * share)), max(2, 2 * round(high * share / 2))
    size = (min(columns, width), min(rows, height))
    small = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
    return np.asarray(small)


def _strip(upper: list[Any], lower: list[Any]) -> Strip:
    segments = [
        Segment("▀", Style(color=_hex(above), bgcolor=_hex(below)))
        for above, below in zip(upper, lower, strict=True)
    ]
    return Strip(segments, len(segments))


def _hex(pixel: list[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*pixel)
