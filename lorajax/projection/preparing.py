"""A collection made ready once, so that any part of it can be given a basis.

Each projection keeps of a LoRA only what it needs: `gram_pca` and `incremental_pca`
the LoRA itself, `sketch_pca` its sketch.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from lorajax.adapters.adapter import Adapter
from lorajax.config.features import FeatureSettings
from lorajax.projection.features import Features
from lorajax.projection.gram_pca import PreparedGram
from lorajax.projection.linear_pca import PreparedDense, PreparedSketch
from lorajax.projection.sketch import gather, sketch_adapter


@runtime_checkable
class Prepared(Protocol):
    """A collection that any subset of can be given a basis."""

    def fit(self, train: np.ndarray, width: int) -> Any: ...

    def features(self, basis: Any, train: np.ndarray) -> Features: ...


def keeper(settings: FeatureSettings) -> Callable[[Adapter], Any]:
    """What to hold in memory of each LoRA while a collection is read."""
    if settings.projection == "sketch_pca":
        return lambda adapter: sketch_adapter(adapter, settings.sketch)
    return lambda adapter: adapter


def prepare(
    settings: FeatureSettings, kept: Sequence[Any], base_model: str
) -> Prepared:
    """Makes ready what `keeper` kept of a collection of one base model."""
    if settings.projection == "sketch_pca":
        return PreparedSketch(gather(kept, settings.sketch), base_model)
    if settings.projection == "gram_pca":
        return PreparedGram(kept, settings.max_basis_mb)
    return PreparedDense(kept, settings.batch)
