"""Cells of a drawing, each a character and a style, that words are written into."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip


class CellGrid:
    """A drawing that words find room in.

    Args:
      codes: code points `[height, width]`.
      kinds: the number of each cell's style `[height, width]`; -1 for an empty cell.
      styles: the last of them is that of empty cells.
    """

    def __init__(
        self, codes: np.ndarray, kinds: np.ndarray, styles: Sequence[Style]
    ) -> None:
        self._taken = kinds >= 0
        self._cells = [
            [
                (chr(code) if kind >= 0 else " ", styles[kind])
                for code, kind in zip(*row, strict=True)
            ]
            for row in zip(codes.tolist(), kinds.tolist(), strict=True)
        ]

    def reverse(self, column: int, row: int) -> None:
        """Marks a cell."""
        character, style = self._cells[row][column]
        self._cells[row][column] = (character, style + Style(reverse=True))

    def write_beside(
        self, words: str, column: int, row: int, style: Style, anyway: bool
    ) -> None:
        """Writes to the right of a cell, else to its left, where room is.

        Args:
          anyway: also over what is drawn there.
        """
        cells, taken, length = self._cells[row], self._taken[row], cell_len(words)
        for start in (column + 2, column - 1 - length):
            stop = start + length
            if start < 1 or stop > len(cells):
                continue
            if anyway or not taken[start - 1 : stop + 1].any():
                taken[start:stop] = True
                return _write(cells, words, start, style)

    def strips(self) -> list[Strip]:
        """The lines of the drawing."""
        return [
            Strip([Segment(*cell) for cell in row], len(row)).simplify()
            for row in self._cells
        ]


def _write(
    cells: list[tuple[str, Style]], words: str, start: int, style: Style
) -> None:
    """Puts each character into its cell; a wide one leaves the next cell empty."""
    for character in words:
        width = cell_len(character)
        if width:
            cells[start] = (character, style)
        for covered in range(1, width):
            cells[start + covered] = ("", style)
        start += width
