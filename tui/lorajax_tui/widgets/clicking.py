"""How the mouse works in tables of LoRAs: as in that of the library."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.widgets import DataTable


def click_line(table: DataTable[Any], event: events.Click) -> None:
    """One click chooses a line, two walk."""
    event.prevent_default()
    row = event.style.meta.get("row", -1)
    if row >= 0:
        table.move_cursor(row=row)
        if event.chain == 2:
            table.action_select_cursor()
