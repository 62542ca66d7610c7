"""Rows drawn in one go against the table's own cell by cell drawing."""

from pathlib import Path
from threading import Event
from typing import Any

import pytest
from rich.style import Style
from textual.strip import Strip
from textual_fastdatatable import DataTable

from lorajax.service.collection import library as service
from tests.tui.conftest import NAMES, MakeApp
from tests.tui.driving import names, opened, screen_text, until


async def test_a_row_is_what_the_table_would_draw(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(140, 30)) as pilot:
        table = await opened(pilot)
        width = table.size.width
        for columns in ((), ("rank_max", "key", "dtype")):
            table.choose_columns(columns)
            for line in range(len(NAMES) + 1):
                asked = (line, 0, width, table.rich_style)
                ours = table._render_line(*asked)
                theirs = DataTable._render_line(table, *asked)
                assert _letters(ours) == _letters(theirs)
                assert ours.cell_length == theirs.cell_length == width


def _letters(strip: Strip) -> list[tuple[str, Any, Any, bool, bool, Any]]:
    """Every character with all that is seen of it, and the row a mouse finds."""
    return [
        (letter, *_look(style or Style(), letter))
        for text, style, _ in strip
        for letter in text
    ]


def _look(style: Style, letter: str) -> tuple[Any, Any, bool, bool, Any]:
    blank = letter == " "  # has no colour and no stroke of its own
    place = style.meta.get("row")
    inked = (None, False, False) if blank else (style.color, style.dim, style.strike)
    return inked[0], style.bgcolor, bool(inked[1]), bool(inked[2]), place


async def test_the_first_rows_come_before_the_rest(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, others = service.columns, Event()

    def slowly(path: Path, first: int | None = None) -> dict[str, list[Any]]:
        if first is None:
            others.wait(10)
        return read(path, 2 if first else None)

    monkeypatch.setattr(service, "columns", slowly)
    app = make_app()
    async with app.run_test(size=(120, 30)) as pilot:
        table = await opened(pilot)
        assert names(table) == ["[red]Clay", "Ink line"]
        await pilot.press("j")
        assert "reading …" in screen_text(pilot)
        others.set()
        await until(pilot, lambda: table.row_count == len(NAMES))
        assert (row := table.row_at_cursor()) and row["name"] == "Ink line"
        assert "reading …" not in screen_text(pilot)
