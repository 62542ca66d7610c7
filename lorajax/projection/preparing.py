"""A collection made ready once, so that any part of it can be given a basis."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.interface import Update
from lorajax.adapters.low_rank import LowRankUpdate
from lorajax.config.features import FeatureSettings
from lorajax.errors import ProjectionError
from lorajax.projection.features import Features, joined
from lorajax.projection.gram_pca import GramPCA
from lorajax.projection.incremental_pca import PaperPCA
from lorajax.projection.interface import Projection
from lorajax.projection.sketch_pca import SketchPCA


class CollectionTooLarge(ProjectionError):
    """A collection that a projection cannot hold; no single file is to blame."""


@runtime_checkable
class Prepared(Protocol):
    """A collection that any subset of can be given a basis."""

    def fit(self, train: Int[np.ndarray, " t"]) -> Any:
        """A basis of the LoRAs at these places."""
        ...

    def features(
        self, basis: Any, train: Int[np.ndarray, " t"], wanted: Int[np.ndarray, " w"]
    ) -> Features:
        """The features of the LoRAs at `wanted`, in a basis fitted on `train`."""
        ...


def keeper(settings: FeatureSettings) -> Callable[[Adapter], Adapter | None]:
    """What to hold in memory of each LoRA while a collection is read.

    `sketch_pca` holds LoRAs as long as there is room and reads the others again. The
    others need all of them: what is returned raises CollectionTooLarge when they grow
    beyond `features.max_basis_mb`, before memory does.
    """
    held = 0.0

    def keep(adapter: Adapter) -> Adapter | None:
        nonlocal held
        held += factor_megabytes(adapter)
        if held <= settings.max_basis_mb:
            return adapter
        if settings.projection == "sketch_pca":
            return None
        raise CollectionTooLarge(
            f"{settings.projection} holds all factors in memory, and they are more "
            f"than features.max_basis_mb={settings.max_basis_mb} MB",
            "use features.projection=sketch_pca, whose size does not grow",
        )

    return keep


def factor_megabytes(adapter: Adapter) -> float:
    """What a LoRA takes as float32 factors, or as updates where it has none."""
    return sum(map(_numbers, adapter.updates.values())) * 4 / 2**20


def _numbers(update: Update) -> int:
    if isinstance(update, LowRankUpdate):
        return update.rank * sum(update.shape)
    pair = update.factors()
    return math.prod(update.shape) if pair is None else sum(f.size for f in pair)


def new_projection(settings: FeatureSettings) -> Projection:
    """A projection that has not learnt anything yet."""
    kinds: dict[str, type[Projection]] = {
        "sketch_pca": SketchPCA,
        "gram_pca": GramPCA,
        "incremental_pca": PaperPCA,
    }
    return kinds[settings.projection](settings)


def prepare(settings: FeatureSettings, adapters: Sequence[Adapter]) -> Prepared:
    """Makes a collection of one base model ready; it may lie on disk."""
    if settings.projection == "gram_pca":
        return PreparedGram(settings, adapters)
    return PreparedInTurn(settings, adapters)


class PreparedGram:
    """A collection whose inner products are all known."""

    def __init__(self, settings: FeatureSettings, adapters: Sequence[Adapter]) -> None:
        self.projection = GramPCA(settings)
        self.projection.partial_fit(adapters)

    def fit(self, train: Int[np.ndarray, " t"]) -> Any:
        return self.projection.basis_of(train)

    def features(
        self, basis: Any, train: Int[np.ndarray, " t"], wanted: Int[np.ndarray, " w"]
    ) -> Features:
        return self.projection.features_of(basis, train, wanted)


class PreparedInTurn:
    """A collection that is gone through anew for each basis."""

    def __init__(self, settings: FeatureSettings, adapters: Sequence[Adapter]) -> None:
        self.settings, self.adapters = settings, adapters

    def fit(self, train: Int[np.ndarray, " t"]) -> Any:
        chosen = _Chosen(self.adapters, train)
        return new_projection(self.settings).partial_fit(chosen).basis

    def features(
        self, basis: Any, train: Int[np.ndarray, " t"], wanted: Int[np.ndarray, " w"]
    ) -> Features:
        return joined([basis.transform(self.adapters[int(i)]) for i in wanted])


class _Chosen(Sequence[Adapter]):
    """Some of a collection, still to be read."""

    def __init__(
        self, adapters: Sequence[Adapter], places: Int[np.ndarray, " t"]
    ) -> None:
        self.adapters, self.places = adapters, places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, i: Any) -> Any:
        return self.adapters[int(self.places[i])]
