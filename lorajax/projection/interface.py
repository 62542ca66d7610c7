"""What all three projections can do, in scikit-learn's words.

    projection = new_projection(settings)
    projection.partial_fit(some).partial_fit(more)
    features = projection.transform(adapters)
    projection.explained_variance_ratio_, projection.held_out_energy(others)

`basis` is the frozen result, which `storage` writes and `Basis.transform` uses.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Float

from lorajax.adapters.adapter import Adapter
from lorajax.config.features import FeatureSettings
from lorajax.errors import ProjectionError
from lorajax.projection.basis import Basis
from lorajax.projection.features import Features, joined


class Projection(ABC):
    """A per-module PCA that learns from LoRAs of one base model."""

    def __init__(self, settings: FeatureSettings) -> None:
        self.settings = settings
        self.base_model: str | None = None
        self._basis: Basis | None = None

    def fit(self, adapters: Sequence[Adapter]) -> "Projection":
        """Learns from these LoRAs alone; what was learnt before is forgotten."""
        type(self).__init__(self, self.settings)
        return self.partial_fit(adapters)

    def partial_fit(self, adapters: Sequence[Adapter]) -> "Projection":
        """Learns from further LoRAs.

        Args:
          adapters: may be read from disk one by one, and more than once.

        Raises:
          ProjectionError: for none, or LoRAs of several base models.
        """
        if not len(adapters):
            raise ProjectionError("expected LoRAs to learn from, found none")
        self._learn(adapters)
        self._basis = None
        return self

    @property
    def basis(self) -> Basis:
        """What was learnt, frozen.

        Raises:
          ProjectionError: before anything was.
        """
        if self._basis is None:
            self._basis = self._freeze()
        return self._basis

    @property
    def explained_variance_ratio_(self) -> tuple[Float[np.ndarray, " k"], ...]:
        """Per module, the share of training variance of each of its components."""
        return self.basis.explained_variance_ratio

    def transform(self, adapters: Iterable[Adapter]) -> Features:
        """The features of LoRAs, in their order."""
        return joined([self.basis.transform(adapter) for adapter in adapters])

    def held_out_energy(self, adapters: Iterable[Adapter]) -> Float[np.ndarray, " n"]:
        """Per module, the share of these LoRAs' energy that the components hold."""
        return self.basis.held_out_energy(adapters)

    def _checked(self, adapters: Iterable[Adapter]) -> Iterator[Adapter]:
        """The LoRAs one by one, as long as all are of one base model."""
        for adapter in adapters:
            self.base_model = self.base_model or adapter.base_model
            if adapter.base_model != self.base_model:
                raise ProjectionError(
                    f"{adapter.name}: expected a LoRA of {self.base_model}, found one "
                    f"of {adapter.base_model}"
                )
            yield adapter

    @abstractmethod
    def _learn(self, adapters: Sequence[Adapter]) -> None: ...

    @abstractmethod
    def _freeze(self) -> Basis: ...
