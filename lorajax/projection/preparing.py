"""A collection made ready once, so that any part of it can be given a basis.

Each projection keeps of a LoRA only what it needs: `gram_pca` and `incremental_pca`
the LoRA itself, `sketch_pca` its sketch.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from lorajax.adapters.adapter import Adapter
from lorajax.config.features import FeatureSettings
from lorajax.errors import ProjectionError
from lorajax.projection.features import Features
from lorajax.projection.gram_pca import PreparedGram
from lorajax.projection.linear_pca import PreparedDense, PreparedSketch
from lorajax.projection.sketch import gather, sketch_adapter


class CollectionTooLarge(ProjectionError):
    """A collection that a projection cannot hold; no single file is to blame."""


@runtime_checkable
class Prepared(Protocol):
    """A collection that any subset of can be given a basis."""

    def fit(self, train: np.ndarray, width: int) -> Any: ...

    def features(self, basis: Any, train: np.ndarray) -> Features: ...


def keeper(settings: FeatureSettings) -> Callable[[Adapter], Any]:
    """What to hold in memory of each LoRA while a collection is read.

    The function returned raises CollectionTooLarge when whole LoRAs are to be held and
    grow beyond `features.max_basis_mb`, before memory does.
    """
    if settings.projection == "sketch_pca":
        return lambda adapter: sketch_adapter(adapter, settings.sketch)
    held = 0.0

    def keep(adapter: Adapter) -> Adapter:
        nonlocal held
        held += factor_megabytes(adapter)
        if held > settings.max_basis_mb:
            raise CollectionTooLarge(
                f"{settings.projection} holds all factors in memory, and they are more "
                f"than features.max_basis_mb={settings.max_basis_mb} MB",
                "use features.projection=sketch_pca, whose size does not grow",
            )
        return adapter

    return keep


def factor_megabytes(adapter: Adapter) -> float:
    """What a LoRA takes in a basis: float32 factors, or updates that have none."""
    numbers = 0
    for update in adapter.updates.values():
        pair = update.factors()
        numbers += (
            math.prod(update.shape) if pair is None else sum(f.size for f in pair)
        )
    return numbers * 4 / 2**20


def prepare(
    settings: FeatureSettings, kept: Sequence[Any], base_model: str
) -> Prepared:
    """Makes ready what `keeper` kept of a collection of one base model."""
    if settings.projection == "sketch_pca":
        return PreparedSketch(gather(kept, settings.sketch), base_model)
    if settings.projection == "gram_pca":
        return PreparedGram(kept)
    return PreparedDense(kept, settings.batch)
