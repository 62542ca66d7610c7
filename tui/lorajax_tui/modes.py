"""The main screens by name, each imported when it is first shown."""

from __future__ import annotations

from typing import Any

from textual.screen import Screen

from lorajax_tui.screens.library import LibraryScreen


def _neighbours() -> Screen[Any]:
    from lorajax_tui.screens.neighbours import NeighboursScreen

    return NeighboursScreen()


def _map() -> Screen[Any]:
    from lorajax_tui.screens.map import MapScreen

    return MapScreen()


def _label() -> Screen[Any]:
    from lorajax_tui.screens.label import LabelScreen

    return LabelScreen()


def _train() -> Screen[Any]:
    from lorajax_tui.screens.train import TrainScreen

    return TrainScreen()


def _evaluate() -> Screen[Any]:
    from lorajax_tui.screens.evaluate import EvaluateScreen

    return EvaluateScreen()


def _duplicates() -> Screen[Any]:
    from lorajax_tui.screens.duplicates import DuplicatesScreen

    return DuplicatesScreen()


MODES: dict[str, Any] = {
    "library": LibraryScreen,
    "neighbours": _neighbours,
    "map": _map,
    "label": _label,
    "train": _train,
    "evaluate": _evaluate,
    "duplicates": _duplicates,
}
