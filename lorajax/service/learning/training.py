"""The main job: collection → features → training → evaluation → checkpoint."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorajax.errors import LorajaxError
from lorajax.service.commands import place_of_commands
from lorajax.service.compute import prepare_jax
from lorajax.service.progress import OnProgress, Progress
from lorajax.service.stopping import listening

if TYPE_CHECKING:
    from lorajax.service.learning.job import Opened


@dataclass(frozen=True)
class TrainingReport:
    """A finished run.

    Attributes:
      path: its folder.
      results: the document of `results.json`.
      notes: lines for the person: what was found, left out or skipped.
    """

    path: Path
    results: dict[str, Any]
    notes: tuple[str, ...]


def train(
    config: Path,
    overrides: Sequence[str] = (),
    on_progress: OnProgress = lambda progress: None,
    opened: "Opened | None" = None,
    over: Path | None = None,
) -> TrainingReport:
    """Runs a job to its end, or until it is asked to stop.

    Args:
      opened: collections that other jobs of this process have read.
      over: a file whose settings go before those of the configuration.

    Raises:
      ConfigError: before anything is written.
      Stopped: after saving what is needed to resume.
      LorajaxError: for everything else a person can mend; the run's status says so.
    """
    prepare_jax()
    from lorajax.config import load_job
    from lorajax.service.learning.run_folders import open_run
    from lorajax.service.learning.split_runs import run_splits
    from lorajax.training.fit import Stopped
    from lorajax.training.run_dir import write_json

    job = load_job(config, overrides, over)
    named = job.run.name is not None
    stem = config.parent.name if config.name == "config.yaml" else config.stem
    run, settings = open_run(job, stem)
    finished = run.path / "results.json"
    if finished.exists():
        return _finished(run.path)
    began = time.monotonic()
    try:
        with listening(run.path) as should_stop, run.beating():
            run.update(state="running", stage="starting")
            results, notes = run_splits(settings, run, on_progress, should_stop, opened)
            results["seconds"] = round(time.monotonic() - began, 1)
            write_json(finished, results)
    except (Stopped, KeyboardInterrupt) as stop:
        run.update(state="stopped", message=str(stop) or "interrupted")
        command = f"lorajax train {run.path / 'config.yaml'} run.resume=true"
        message = f"{run.path}: {str(stop) or 'stopped'}"
        hint = f"continue with: {place_of_commands()}{command}"
        raise Stopped(message, hint) from stop
    except BaseException as error:
        message = error.message if isinstance(error, LorajaxError) else repr(error)
        run.update(state="failed", message=message)
        if settings.run.name and not named and not began_work(run.path):
            shutil.rmtree(run.path)
        raise
    run.update(state="finished", stage="done", message="")
    on_progress(Progress("done", 1, 1, str(run.path)))
    return TrainingReport(run.path, results, tuple(notes))


def began_work(run: Path) -> bool:
    """Whether a run got as far as its collection; before that nothing is lost."""
    return (run / "collection.json").exists()


def _finished(path: Path) -> TrainingReport:
    from lorajax.export.bundle import read_results

    return TrainingReport(path, read_results(path), ("this run has finished already",))
