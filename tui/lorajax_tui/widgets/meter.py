"""A thin horizontal bar that shows a share."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text


def meter(
    share: float, width: int, colours: Mapping[str, str], colour: str = "primary"
) -> Text:
    """A line of `width` cells, drawn in half cells, filled from the left."""
    halves = round(max(0.0, min(1.0, share)) * width * 2)
    whole, half = divmod(halves, 2)
    line = Text(no_wrap=True).append("━" * whole + "╸" * half, colours[colour])
    return line.append("━" * (width - whole - half), colours["panel"])
