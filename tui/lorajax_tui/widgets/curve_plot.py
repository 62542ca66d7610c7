"""One live curve of a run: a line per split, coloured by the theme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual_plot import HiResMode, PlotWidget

from lorajax_tui.themes import colours

if TYPE_CHECKING:
    from lorajax.service.curves import Curve, Curves

COLOURS = ("primary", "accent", "success", "warning", "error")
_POINTS = 2000  # more than any terminal has columns


class CurvePlot(PlotWidget, can_focus=False):
    """A curve over steps; the mouse zooms and pans."""

    def __init__(self, title: str, names: tuple[str, ...], **options: Any) -> None:
        super().__init__(**options)
        self._title, self._names = title, names
        self._shown: object = None

    def on_mount(self) -> None:
        super().on_mount()
        self.border_title = self._title
        self.margin_left, self.margin_bottom, self.margin_top = 7, 1, 0

    def show(self, run: str, curves: Curves) -> None:
        """Draws what a run has measured; nothing is done where nothing is new."""
        name = next((n for n in self._names if curves.splits(n)), self._names[0])
        splits = curves.splits(name)
        state = (run, [len(curves.of[name, split].steps) for split in splits])
        if state == self._shown:
            return
        self._shown = state
        self.clear()
        for split in splits:
            self._draw(curves.of[name, split], split)
        self.border_subtitle = self._newest(curves, name) or "waiting"

    def _newest(self, curves: Curves, name: str) -> str:
        """The last value of every split in the colour of its line, as markup."""
        found = colours(self.app)
        values = [
            f"[{found[_colour(split)]}]{curves.of[name, split].values[-1]:.3g}[/]"
            for split in curves.splits(name)
        ]
        return " ".join(values)

    def _draw(self, curve: Curve, split: int) -> None:
        every = -(-len(curve.steps) // _POINTS)
        colour = colours(self.app)[_colour(split)]
        steps, values = curve.steps[::every], curve.values[::every]
        self.plot(steps, values, colour, HiResMode.BRAILLE)


def _colour(split: int) -> str:
    return COLOURS[split % len(COLOURS)]
