"""Runs as plain documents, in the shape that scripts rely on."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lorajax.errors import CheckpointError
from lorajax.service.learning.configs import find_configs
from lorajax.service.learning.measured import list_measured
from lorajax.service.learning.runs import Run, is_run, list_runs, read_log, read_run
from lorajax.service.learning.side_by_side import differing


def known_run(run: Path, root: Path) -> Run:
    """A run as it is now, by its folder or by its name in the folder of all runs.

    Raises:
      CheckpointError: where there is none.
    """
    for folder in (run, root / run):
        if is_run(folder):
            return read_run(folder)
    raise CheckpointError(
        f"{run}: expected the folder of a run, or a name of one in {root}, found none",
        f"see them with: lorajax runs list --root {root}",
    )


def runs_document(root: Path) -> dict[str, Any]:
    """`runs`, the newest first, and `measured`, which `lorajax evaluate` takes."""
    measured = [
        {"name": one.name, "path": str(one.path), "is_study": one.is_study}
        for one in list_measured(root)
    ]
    runs = [_told(run) for run in list_runs(root)]
    return {"root": str(root), "runs": runs, "measured": measured}


def run_document(run: Run) -> dict[str, Any]:
    """One run with its settings and the last words of its log."""
    return {**_told(run), "config": dict(run.config), "log": read_log(run.path)}


def runs_beside_document(runs: Sequence[Run]) -> dict[str, Any]:
    """Several runs and the settings in which they differ, a value for each run."""
    settings = {key: list(values) for key, values in differing(runs).items()}
    return {"runs": [_told(run) for run in runs], "settings": settings}


def configs_document() -> list[dict[str, str]]:
    """The configurations that a run can be started from."""
    return [{**asdict(one), "path": str(one.path)} for one in find_configs()]


def _told(run: Run) -> dict[str, Any]:
    status = run.status
    return {
        "name": run.name,
        "path": str(run.path),
        "state": run.state,
        "stage": status.stage if status else "",
        "step": status.step if status else 0,
        "total": status.total if status else 0,
        "message": status.message if status else "",
        "started": run.started,
    }
