"""Points drawn in braille, eight to a cell: any number of them in milliseconds.

A cell holds 2 × 4 dots and one colour, that of most of its points. All of it is counted
with arrays, so a hundred thousand points pan like a hundred, and none are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

# The bit of each dot of a cell, by row and column, in the order of Unicode's braille.
_BITS = np.array([[0, 3], [1, 4], [2, 5], [6, 7]])
_BLANK = 0x2800
_THICK = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
FEW = 2000
MARGIN = 1.06  # room around the outermost points


@dataclass(frozen=True)
class View:
    """What part of the plane is seen, and by how many cells.

    Attributes:
      x, y: the middle of what is seen.
      scale: dots per unit, the same in both directions: dots are square.
    """

    x: float
    y: float
    scale: float
    width: int
    height: int

    def dots(self, positions: np.ndarray) -> np.ndarray:
        """Dots `[n, 2]` of positions `[n, 2]`: to the right and downwards."""
        right = (positions[:, 0] - self.x) * self.scale + self.width
        down = (self.y - positions[:, 1]) * self.scale + 2 * self.height
        return np.stack([right, down], axis=1)

    def place(self, column: float, row: float) -> tuple[float, float]:
        """The position in the plane of the middle of a cell."""
        right, down = 2 * column + 1 - self.width, 4 * row + 2 - 2 * self.height
        return self.x + right / self.scale, self.y - down / self.scale

    def moved(self, columns: float, rows: float) -> View:
        """The view after it was pushed by so many cells."""
        x = self.x + 2 * columns / self.scale
        return replace(self, x=x, y=self.y - 4 * rows / self.scale)

    def zoomed(self, factor: float, column: float, row: float) -> View:
        """Nearer by a factor, with what lies under a cell staying there."""
        x, y = self.place(column, row)
        return replace(
            self,
            x=x + (self.x - x) / factor,
            y=y + (self.y - y) / factor,
            scale=self.scale * factor,
        )


def fitted(positions: np.ndarray, width: int, height: int) -> View:
    """The view that shows all positions."""
    if not len(positions):
        return View(0.0, 0.0, 1.0, width, height)
    low, high = positions.min(axis=0), positions.max(axis=0)
    span = np.maximum((high - low) * MARGIN, 1e-9)
    scale = min(2 * width / span[0], 4 * height / span[1])
    x, y = (low + high) / 2
    return View(float(x), float(y), float(scale), width, height)


def draw(
    positions: np.ndarray, colours: np.ndarray, view: View
) -> tuple[np.ndarray, np.ndarray]:
    """Draws points; where few are seen, each is two dots wide and high.

    Args:
      positions: `[n, 2]`.
      colours: `[n]`, the number of each point's colour, from 0.

    Returns:
      Code points `[height, width]` of braille characters, and the colour of each cell;
      -1 for cells without a point. Where colours are equally common, the smallest.
    """
    size, limits = view.width * view.height, (2 * view.width, 4 * view.height)
    dots = np.floor(view.dots(positions))
    seen = np.all((dots >= 0) & (dots < limits), axis=1)
    dots, colours = dots[seen].astype(np.int64), colours[seen]
    if len(dots) <= FEW:
        dots = (dots[:, None] + _THICK).reshape(-1, 2)
        colours = np.repeat(colours, len(_THICK))
        inside = np.all(dots < limits, axis=1)
        dots, colours = dots[inside], colours[inside]
    right, down = dots.T
    cells = (down // 4) * view.width + right // 2
    raised = np.zeros((size, 8), dtype=bool)
    raised[cells, _BITS[down % 4, right % 2]] = True
    kinds = int(colours.max(initial=0)) + 1
    counts = np.bincount(cells * kinds + colours, minlength=size * kinds)
    commonest = counts.reshape(size, kinds).argmax(axis=1)
    codes = _BLANK + np.packbits(raised, axis=1, bitorder="little")[:, 0].astype(int)
    shape = (view.height, view.width)
    filled = np.where(codes > _BLANK, commonest, -1)
    return codes.reshape(shape), filled.reshape(shape)


def nearest(positions: np.ndarray, view: View, column: float, row: float) -> int | None:
    """The point nearest to the middle of a cell, as the screen shows them."""
    if not len(positions):
        return None
    away = view.dots(positions) - (2 * column + 1, 4 * row + 2)
    return int(np.argmin(np.einsum("nd,nd->n", away, away)))


def towards(positions: np.ndarray, here: int, dx: int, dy: int) -> int | None:
    """The next point in a direction of the screen: within 45° of it, and near.

    Args:
      dx, dy: one of them is 1 or -1, the other 0; downwards is positive.
    """
    away = positions - positions[here]
    along = away[:, 0] * dx - away[:, 1] * dy
    across = away[:, 0] * dy + away[:, 1] * dx
    ahead = (along > 0) & (np.abs(across) <= along)
    if not ahead.any():
        return None
    # A step aside counts double, so that one comes straight before one beside.
    far = np.where(ahead, along**2 + 4 * across**2, np.inf)
    return int(np.argmin(far))
