"""What is measured: from the path of a LoRA to its final scores, and the basis for it.

Every row goes through the three functions here, so that a new way of reading files
changes the benchmarks in one place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.lora_files import CACHE, VERSION, Kind, draw_factors, lora_file
from lorajax.adapters.adapter import Adapter, read_adapter
from lorajax.adapters.low_rank import LowRankUpdate
from lorajax.config.features import FeatureSettings
from lorajax.errors import CheckpointError
from lorajax.projection.basis import Basis
from lorajax.projection.features import Features
from lorajax.projection.linear_pca import PreparedSketch
from lorajax.projection.sketch import sketch_all
from lorajax.projection.storage import load_basis, save_basis

FITTED_ON = 160
FITTED_RANK = 4
SETTINGS = FeatureSettings(projection="sketch_pca")


def features_of(path: Path, basis: Basis) -> tuple[str, Features]:
    """Opens, checks and hashes a file: its content key and its final scores."""
    adapter = read_adapter(path)
    return adapter.content_key, basis.transform(adapter)


def features_of_many(paths: Sequence[Path], basis: Basis) -> list[tuple[str, Features]]:
    """The same for several files in one go."""
    return [features_of(path, basis) for path in paths]


def default_basis(kind: Kind) -> Basis:
    """The default configuration's basis of a base model, kept on disk once fitted.

    It is fitted on drawn LoRAs of a small rank: its size, and with it the time that it
    takes to apply, do not depend on what it was fitted on.
    """
    size = f"{SETTINGS.sketch}x{SETTINGS.components}"
    path = CACHE / f"basis-{kind.base_model}-{size}-v{VERSION}.safetensors"
    try:
        return load_basis(path)
    except CheckpointError:
        sketches = sketch_all(_drawn(kind), SETTINGS.sketch)
        prepared = PreparedSketch(sketches, kind.base_model)
        save_basis(prepared.fit(np.arange(FITTED_ON), SETTINGS.components), path)
    return load_basis(path)


def _drawn(kind: Kind) -> Iterator[Adapter]:
    """LoRAs to fit on, drawn in memory; their modules are those of a file's."""
    template = read_adapter(lora_file(replace(kind, rank=FITTED_RANK), 0))
    for seed in range(FITTED_ON):
        rng = np.random.default_rng([seed, VERSION, FITTED_RANK])
        updates = {
            module: LowRankUpdate(*draw_factors(rng, *update.shape, FITTED_RANK))
            for module, update in template.updates.items()
        }
        yield replace(template, name=f"drawn {seed}", updates=updates)
