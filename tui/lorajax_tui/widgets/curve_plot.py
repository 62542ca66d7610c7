"""One live plot over steps: of one run a line per split, of several a colour each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from textual_plot import HiResMode, PlotWidget

from lorajax_tui.themes import colours, palette

if TYPE_CHECKING:
    from lorajax.service.learning.curves import Curve, Curves

COLOURS = ("primary", "accent", "success", "warning", "error")
_POINTS = 2000  # more than any terminal has columns


class CurvePlot(PlotWidget, can_focus=False):
    """Curves over steps; the mouse zooms and pans.

    Args:
      names: of curves, the first of which a run has is drawn.
    """

    def __init__(self, title: str, names: tuple[str, ...], **options: Any) -> None:
        super().__init__(**options)
        self._title, self._names = title, names
        self._shown: object = None

    def on_mount(self) -> None:
        super().on_mount()
        self.border_title = self._title
        self.margin_left, self.margin_bottom, self.margin_top = 7, 1, 0

    def show(self, run: str, curves: Curves) -> None:
        """Draws what a run has measured, each split in a colour of its own."""
        found = colours(self.app)
        splits = enumerate(self._of(curves))
        lines = [(curve, found[COLOURS[i % len(COLOURS)]]) for i, curve in splits]
        self._show(run, lines)

    def show_several(self, runs: Sequence[tuple[str, Curves]]) -> None:
        """Draws what several runs have measured, each run in a colour of its own."""
        lines = [
            (curve, colour)
            for (_, curves), colour in zip(runs, palette(self.app), strict=False)
            for curve in self._of(curves)
        ]
        self._show([name for name, _ in runs], lines)

    def _of(self, curves: Curves) -> list[Curve]:
        name = next((n for n in self._names if curves.splits(n)), self._names[0])
        return [curves.of[name, split] for split in curves.splits(name)]

    def _show(self, whose: object, lines: Sequence[tuple[Curve, str]]) -> None:
        """Draws lines; nothing is done where nothing is new."""
        state = (whose, [(len(curve.steps), colour) for curve, colour in lines])
        if state == self._shown:
            return
        self._shown = state
        self.clear()
        for curve, colour in lines:
            every = -(-len(curve.steps) // _POINTS)
            steps, values = curve.steps[::every], curve.values[::every]
            self.plot(steps, values, colour, HiResMode.BRAILLE)
        # the last value of every line in its colour, as markup
        newest = (f"[{colour}]{curve.values[-1]:.3g}[/]" for curve, colour in lines)
        self.border_subtitle = " ".join(newest) or "waiting"
