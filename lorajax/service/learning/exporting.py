"""A run's bundle."""

from pathlib import Path
from typing import Literal

# What embeds features without this package.
Graphs = Literal["jax", "onnx", "both"]


def export(
    run: Path, folder: Path, graphs: Graphs | None = None, force: bool = False
) -> Path:
    """Writes a run's bundle, or adds its model to one of other base models.

    Args:
      graphs: the encoder as a graph as well, for use without this package.
      force: whether another model of the same base model is replaced.

    Raises:
      CheckpointError: where the run has not finished, or the folder holds other things
        or another model of this base model.
    """
    from lorajax.service.compute import prepare_jax

    prepare_jax()
    from lorajax.export.writing import write_bundle

    chosen = ("jax", "onnx") if graphs == "both" else (graphs,) if graphs else ()
    return write_bundle(run, folder, chosen, force)
