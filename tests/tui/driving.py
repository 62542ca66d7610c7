"""Driving the application as a person would."""

import asyncio
import time
from collections.abc import Callable

from textual.pilot import Pilot

from lorajax_tui.widgets.collection_table import CollectionTable


async def until(
    pilot: Pilot, condition: Callable[[], bool], seconds: float = 10
) -> None:
    """Lets the application work until something is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        await asyncio.sleep(0.02)
    await pilot.pause()


async def opened(pilot: Pilot) -> CollectionTable:
    """Waits for the table of the collection."""
    table = pilot.app.screen.query_one(CollectionTable)
    await until(pilot, lambda: table.row_count > 0)
    return table


def names(table: CollectionTable) -> list[str]:
    """The names shown, from top to bottom."""
    return [table.get_row_at(i)[0].plain for i in range(table.row_count)]


def words(pilot: Pilot, selector: str) -> str:
    """What a widget of the current screen shows, without the blanks around it."""
    widget = pilot.app.screen.query_one(selector)
    strips = widget.render_lines(widget.size.region)
    return "\n".join(strip.text.strip() for strip in strips).strip()


def screen_text(pilot: Pilot) -> str:
    """Everything on the screen, line by line."""
    lines = pilot.app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in lines)
