"""Filling a table anew, each column as wide as its widest cell.

Textual measures columns when it is idle, and forgets to where a table is filled twice
before that, as after a change of size and theme together.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.widgets import DataTable


def widths(heads: Sequence[Text], lines: Sequence[Sequence[Text]]) -> list[int]:
    """The cells that each column needs."""
    columns = zip(heads, *lines, strict=True)
    return [max(text.cell_len for text in column) for column in columns]


def fill(
    table: DataTable[Text],
    heads: Sequence[Text],
    lines: Sequence[Sequence[Text]],
    keys: Sequence[str | None],
    count: int | None = None,
) -> None:
    """Shows other rows and columns.

    Args:
      keys: of the lines.
      count: how many of the columns; None is all.
    """
    table.clear(columns=True)
    for head, width in list(zip(heads, widths(heads, lines), strict=True))[:count]:
        table.add_column(head, width=width)
    for key, line in zip(keys, lines, strict=True):
        table.add_row(*line[:count], key=key)
