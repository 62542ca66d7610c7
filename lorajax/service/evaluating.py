"""What a run measured, and its bundle."""

from pathlib import Path
from typing import Any


def evaluate(run: Path) -> dict[str, Any]:
    """The results of a finished run.

    Raises:
      CheckpointError: where the run has not finished.
    """
    from lorajax.export.bundle import read_results

    return read_results(run)


def export(run: Path, folder: Path) -> Path:
    """Writes a run's bundle.

    Raises:
      CheckpointError: where the run has not finished or the folder holds other things.
    """
    from lorajax.service.compute import prepare_jax

    prepare_jax()
    from lorajax.export.bundle import write_bundle

    return write_bundle(run, folder)
