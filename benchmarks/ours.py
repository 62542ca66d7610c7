"""What is measured: from the path of a LoRA to its final scores, and the basis for it.

Every row goes through the three functions here, so that a new way of reading files
changes the benchmarks in one place.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import overload

import numpy as np

from benchmarks.lora_files import CACHE, VERSION, Kind, draw_factors, lora_file
from lorajax.adapters.adapter import Adapter, read_adapter
from lorajax.adapters.low_rank import LowRankUpdate
from lorajax.config.features import FeatureSettings
from lorajax.errors import CheckpointError
from lorajax.projection.basis import Basis
from lorajax.projection.features import Features
from lorajax.projection.preparing import new_projection
from lorajax.projection.reading import read_features, read_many_features
from lorajax.projection.storage import load_basis, save_basis

FITTED_ON = 160
FITTED_RANK = 4
# Directions from few LoRAs: they are as many, and take as long to apply.
SETTINGS = FeatureSettings(projection="sketch_pca", sides_from=8)


def features_of(path: Path, basis: Basis) -> tuple[str, Features]:
    """Opens, checks and hashes a file: its content key and its final scores."""
    return read_features(path, basis)


def features_of_many(paths: Sequence[Path], basis: Basis) -> list[tuple[str, Features]]:
    """The same for several files in one go."""
    return list(read_many_features(paths, basis))


def default_basis(kind: Kind) -> Basis:
    """The default configuration's basis of a base model, kept on disk once fitted.

    It is fitted on drawn LoRAs of a small rank: its size, and with it the time that it
    takes to apply, do not depend on what it was fitted on.
    """
    size = f"{SETTINGS.side}x{SETTINGS.components}"
    path = CACHE / f"basis-{kind.base_model}-{size}-v{VERSION}.safetensors"
    try:
        return load_basis(path)
    except CheckpointError:
        save_basis(new_projection(SETTINGS).fit(Drawn(kind)).basis, path)
    return load_basis(path)


class Drawn(Sequence[Adapter]):
    """LoRAs to fit on, drawn when they are asked for; their modules are a file's."""

    def __init__(self, kind: Kind) -> None:
        self.template = read_adapter(lora_file(replace(kind, rank=FITTED_RANK), 0))

    def __len__(self) -> int:
        return FITTED_ON

    @overload
    def __getitem__(self, place: int) -> Adapter: ...
    @overload
    def __getitem__(self, place: slice) -> list[Adapter]: ...
    def __getitem__(self, place: int | slice) -> Adapter | list[Adapter]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        if not 0 <= place < len(self):
            raise IndexError(place)
        rng = np.random.default_rng([place, VERSION, FITTED_RANK])
        updates = {
            module: LowRankUpdate(*draw_factors(rng, *update.shape, FITTED_RANK))
            for module, update in self.template.updates.items()
        }
        return replace(self.template, name=f"drawn {place}", updates=updates)
