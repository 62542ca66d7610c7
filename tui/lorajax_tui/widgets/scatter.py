"""Points in the plane that can be walked, zoomed, dragged and picked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from lorajax_tui.braille import View, draw, fitted, nearest, towards
from lorajax_tui.widgets.cell_grid import CellGrid
from lorajax_tui.words import safe

ZOOM = 1.4
_PUSH = (8, 4)  # cells, to the side and up or down
_NAMED = 24  # points that may be seen for their names to be written beside them
_NAME = 24
_NOWHERE = np.zeros((0, 2))


class Scatter(Widget, can_focus=True):
    """Dots in the colours of their groups; one of them is the chosen one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Neighbours"),
        Binding("up,k", "step(0, -1)", "Next point up", show=False),
        Binding("down,j", "step(0, 1)", "Next point down", show=False),
        Binding("left,h", "step(-1, 0)", "Next point left", show=False),
        Binding("right,l", "step(1, 0)", "Next point right", show=False),
        Binding("shift+up,K", "push(0, -1)", "Pan up", show=False),
        Binding("shift+down,J", "push(0, 1)", "Pan down", show=False),
        Binding("shift+left,H", "push(-1, 0)", "Pan left", show=False),
        Binding("shift+right,L", "push(1, 0)", "Pan right", show=False),
        Binding("plus,equals_sign", "zoom(1)", "Zoom in", key_display="+", show=False),
        Binding("minus", "zoom(-1)", "Zoom out", key_display="-", show=False),
        Binding("0,home", "fit", "Show all", key_display="0", show=False),
    ]

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "scatter--dim",
        "scatter--name",
        "scatter--chosen",
    }

    class Moved(Message):
        """Another point is the chosen one."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    class Chosen(Message):
        """A person wants to see what is near a point."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.positions = _NOWHERE
        self.names: Sequence[str] = ()
        self.cursor: int | None = None
        self.view: View | None = None
        self._groups = np.zeros(0, dtype=np.int64)
        self._palette: Sequence[str] = ("white",)
        self.lit = np.zeros(0, dtype=bool)
        self._strips: list[Strip] | None = None
        self._dragged = False

    def show(self, positions: np.ndarray, names: Sequence[str]) -> None:
        """Shows other points, all of them."""
        self.positions, self.names = positions, names
        self._groups = np.zeros(len(names), dtype=np.int64)
        self.lit = np.ones(len(names), dtype=bool)
        self.cursor, self.view = None, None
        self._redraw()

    def paint(self, groups: np.ndarray, palette: Sequence[str]) -> None:
        """Colours the points: their groups `[n]`, and a Rich colour of each group."""
        self._groups, self._palette = groups, palette
        self._redraw()

    def light(self, lit: np.ndarray) -> None:
        """Dims all points but these `[n]`; only these can be walked to."""
        self.lit = lit
        if self.cursor is None or not lit[self.cursor]:
            self.cursor = None
        self._redraw()

    def choose(self, index: int) -> None:
        """Makes a point the chosen one, and has it seen."""
        self.cursor = index
        # Where everything is seen, this one is.
        if self.view is not None and self._cell(self.view, index) is None:
            x, y = self.positions[index].tolist()
            self.view = replace(self.view, x=x, y=y)
        self.post_message(self.Moved(index))
        self._redraw()

    def _cell(self, view: View, index: int) -> tuple[float, float] | None:
        """The cell, to a fraction, in whose middle a point is; None outside."""
        right, down = view.dots(self.positions[[index]])[0].tolist()
        inside = 0 <= right < 2 * view.width and 0 <= down < 4 * view.height
        return ((right - 1) / 2, (down - 2) / 4) if inside else None

    def action_step(self, dx: int, dy: int) -> None:
        """Walks to the next point; the first step goes to the middle of the screen."""
        walkable = np.flatnonzero(self.lit)
        if not len(walkable) or (view := self.seen()) is None:
            return
        points = self.positions[walkable]
        if self.cursor is None or not self.lit[self.cursor]:
            found = nearest(points, view, view.width / 2, view.height / 2)
        else:
            here = int(np.searchsorted(walkable, self.cursor))
            found = towards(points, here, dx, dy)
        if found is not None:
            self.choose(int(walkable[found]))

    def action_choose(self) -> None:
        if self.cursor is not None:
            self.post_message(self.Chosen(self.cursor))

    def action_push(self, dx: int, dy: int) -> None:
        self._look(lambda view: view.moved(dx * _PUSH[0], dy * _PUSH[1]))

    def action_zoom(self, steps: int) -> None:
        """Zooms about the chosen point where it is seen, else about the middle."""
        if (view := self.seen()) is None:
            return
        middle = (view.width / 2, view.height / 2)
        chosen = None if self.cursor is None else self._cell(view, self.cursor)
        column, row = chosen or middle
        self._look(lambda view: view.zoomed(ZOOM**steps, column, row))

    def action_fit(self) -> None:
        self.view = None
        self._redraw()

    def on_resize(self) -> None:
        if self.view is not None and self.size:
            width, height = self.size
            self.view = replace(self.view, width=width, height=height)
        self._redraw()

    def on_click(self, event: events.Click) -> None:
        """One click chooses the nearest point; two go to its neighbours."""
        walkable = np.flatnonzero(self.lit)
        if (view := self.seen()) is None or not len(walkable) or self._dragged:
            return
        found = nearest(self.positions[walkable], view, event.x, event.y)
        if found is not None and event.chain == 1:
            self.choose(int(walkable[found]))
        elif event.chain == 2:
            self.action_choose()

    def on_mouse_down(self) -> None:
        self._dragged = False

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if event.button == 1 and (event.delta_x or event.delta_y):
            event.stop()
            self._dragged = True  # the click that ends it chooses nothing
            dx, dy = event.delta_x, event.delta_y
            self._look(lambda view: view.moved(-dx, -dy))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._look(lambda view: view.zoomed(ZOOM, event.x, event.y))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._look(lambda view: view.zoomed(1 / ZOOM, event.x, event.y))

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips = None

    def seen(self) -> View | None:
        """What is seen: as a person left it, else everything; None without a size."""
        if self.view is None and self.size:
            return fitted(self.positions, *self.size)
        return self.view

    def _look(self, change: Callable[[View], View]) -> None:
        view = self.seen()
        if view is not None:
            self.view = change(view)
            self._redraw()

    def _redraw(self) -> None:
        self._strips = None
        self.refresh()

    def render_line(self, y: int) -> Strip:
        if self._strips is None:
            self._strips = self._drawn()
        known = y < len(self._strips)
        return self._strips[y] if known else Strip.blank(self.size.width)

    def _drawn(self) -> list[Strip]:
        """Every line of the widget as it is now."""
        view = self.seen()
        if view is None:
            return []
        ground, lit = self.rich_style, self.lit
        kinds = self._groups[lit] + 1
        codes, filled = draw(self.positions[lit], kinds, view)
        dimmed, under = draw(self.positions[~lit], np.zeros((~lit).sum(), int), view)
        filled = np.where(filled >= 0, filled, under)
        own = (ground + Style(color=colour) for colour in self._palette)
        styles = [self._part("scatter--dim"), *own, ground]  # -1, no point: the last
        grid = CellGrid(codes | dimmed, filled, styles)
        self._write_names(grid, view)
        return grid.strips()

    def _write_names(self, grid: CellGrid, view: View) -> None:
        """Writes the name of the chosen point, and of all where few are seen."""
        dots = view.dots(self.positions)
        seen = np.all((dots >= 0) & (dots < (2 * view.width, 4 * view.height)), axis=1)
        shown = np.flatnonzero(seen & self.lit)
        named = shown.tolist() if len(shown) <= _NAMED else []
        if self.cursor is not None and seen[self.cursor]:
            named = [self.cursor, *(i for i in named if i != self.cursor)]
        for index in named:
            column, row = int(dots[index, 0] // 2), int(dots[index, 1] // 4)
            chosen = index == self.cursor
            part = self._part("scatter--chosen" if chosen else "scatter--name")
            if chosen:
                grid.reverse(column, row)
            name = safe(self.names[index], _NAME)
            grid.write_beside(name, column, row, part, anyway=chosen)

    def _part(self, name: str) -> Style:
        return self.rich_style + self.get_component_rich_style(name, partial=True)
