"""The zoo as front ends use it."""

from collections.abc import Sequence
from pathlib import Path

from lorajax.service.compute import prepare_jax
from lorajax.service.progress import OnProgress, Progress


def build(
    config: Path,
    out: Path,
    overrides: Sequence[str] = (),
    on_progress: OnProgress = lambda progress: None,
) -> int:
    """Trains the collection of a configuration's zoo section; returns its size."""
    prepare_jax()
    from lorajax.config import load_job
    from lorajax.zoo.build import build_zoo

    settings = load_job(config, overrides).zoo
    build_zoo(
        settings,
        out,
        lambda done, total: on_progress(Progress("training LoRAs", done, total)),
    )
    return settings.styles * settings.loras_per_style
