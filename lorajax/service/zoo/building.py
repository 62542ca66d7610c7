"""The zoo as front ends use it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lorajax.service.compute import keep_freed_memory, prepare_jax
from lorajax.service.learning.configs import preset
from lorajax.service.progress import OnProgress, Progress


def build(
    config: Path,
    out: Path,
    overrides: Sequence[str] = (),
    on_progress: OnProgress = lambda progress: None,
) -> int:
    """Trains the collection of a configuration's zoo section; returns its size."""
    prepare_jax()
    keep_freed_memory()
    from lorajax.config import load_job
    from lorajax.zoo.collection.build import build_zoo

    settings = load_job(preset(config), overrides).zoo
    build_zoo(
        settings,
        out,
        lambda done, total: on_progress(Progress("training LoRAs", done, total)),
    )
    return settings.styles * settings.loras_per_style


def report(
    folder: Path,
    sheet: Path | None = None,
    on_progress: OnProgress = lambda progress: None,
) -> dict[str, Any]:
    """The controls of a finished collection, and its picture sheet on disk.

    Args:
      sheet: where the sheet goes; None for `sheet.png` in the folder.

    Returns:
      The fields of `lorajax.zoo.benchmark.report.report`, and `sheet`: where it was
      written, None for a collection without pictures.
    """
    prepare_jax()
    from lorajax.zoo.benchmark.report import report as measure
    from lorajax.zoo.sheets.saving import save_sheet
    from lorajax.zoo.sheets.style_sheet import style_sheet

    facts = measure(folder, lambda *event: on_progress(Progress(*event)))
    if facts["split_half"]["noise"] is None:
        return facts | {"sheet": None}
    path = sheet or folder / "sheet.png"
    save_sheet(style_sheet(folder), path)
    return facts | {"sheet": str(path)}
