"""Runs with their curves, of which only what is new is read."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from threading import Lock

from lorajax.service.learning import runs as service
from lorajax.service.learning.curves import Curves, read_curves
from lorajax_tui.messages import RunRead


class RunReader:
    """Reads runs again and again; for threads, of which one reads at a time."""

    def __init__(self) -> None:
        self._curves: dict[Path, Curves] = {}
        self._reading = Lock()

    def read(self, *paths: Path) -> list[RunRead]:
        """Runs as they are now; none while another thread still reads."""
        if not self._reading.acquire(blocking=False):
            return []
        try:
            return [self._read(path) for path in paths]
        finally:
            self._reading.release()

    def _read(self, path: Path) -> RunRead:
        """A run as it is now; its log and its results once it has ended."""
        run = service.read_run(path)
        curves = read_curves(path, self._curves.get(path))
        self._curves[path] = curves
        log = service.read_log(path) if not run.is_active else ""
        results = service.read_results(path) if not run.is_active else {}
        # what is shown is not read on into
        return RunRead(run, deepcopy(curves), log, results)

    def forget(self, path: Path) -> None:
        """Reads a run from its beginning the next time."""
        self._curves.pop(path, None)
