"""`incremental_pca`: the paper's route, the slow reference.

Every update is formed, flattened, and given to scikit-learn's IncrementalPCA, one
module at a time. The basis holds whole components, `components` · Σ out · in numbers:
for a Stable Diffusion file at 256 components 360 GB, so that it serves small models.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.delta_weight import delta_weights
from lorajax.config.features import FeatureSettings, Scaling
from lorajax.projection.basis import Basis, BasisFacts
from lorajax.projection.gram import live_modules
from lorajax.projection.interface import Projection
from lorajax.projection.pca import LinearPCA
from lorajax.projection.scaling import scale_factors

if TYPE_CHECKING:
    from sklearn.decomposition import IncrementalPCA

# Singular values of float32 data below this share of the largest are rounding noise.
SINGULAR_TOLERANCE = 1e-5


@dataclass(frozen=True)
class DenseBasis(Basis):
    """Per module, a mean and components as large as the update."""

    facts: BasisFacts
    pcas: tuple[LinearPCA, ...]

    def live_scores(
        self, adapter: Adapter, places: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, "m k"]:
        scores = np.zeros((len(places), self.facts.width))
        for row, n in zip(scores, places, strict=True):
            own = self.pcas[n].transform(self._vector(adapter, int(n))[None])[0]
            row[: len(own)] = own
        return scores

    def energies(
        self, adapter: Adapter, places: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, " m"]:
        centred = (self._vector(adapter, int(n)) - self.pcas[n].mean for n in places)
        return np.array([np.sum(np.square(row, dtype="f8")) for row in centred])

    def _vector(self, adapter: Adapter, n: int) -> Float[np.ndarray, " d"]:
        module = self.facts.modules[n]
        return flattened_updates([adapter], module, self.facts.scale)[0]

    @property
    def explained_variance_ratio(self) -> tuple[np.ndarray, ...]:
        return tuple(pca.explained_variance_ratio for pca in self.pcas)

    def arrays(self) -> dict[str, np.ndarray]:
        arrays: dict[str, np.ndarray] = {}
        for n, pca in enumerate(self.pcas):
            arrays |= {
                f"{n}.mean": pca.mean,
                f"{n}.components": pca.components,
                f"{n}.explained_variance_ratio": pca.explained_variance_ratio,
            }
        return arrays

    @classmethod
    def from_arrays(
        cls, facts: BasisFacts, arrays: dict[str, np.ndarray]
    ) -> "DenseBasis":
        """The inverse of `arrays`.

        Raises:
          ValueError: for arrays that do not fit together.
        """
        parts = ("mean", "components", "explained_variance_ratio")
        pcas = tuple(
            LinearPCA(*(arrays[f"{n}.{part}"] for part in parts))
            for n in range(len(facts.modules))
        )
        for pca in pcas:
            count = len(pca.explained_variance_ratio)
            if pca.components.shape != (count, *pca.mean.shape):
                raise ValueError("components and mean differ in shape")
        return cls(facts, pcas)


def flattened_updates(
    adapters: Sequence[Adapter], module: str, scale: Scaling = "none"
) -> Float[np.ndarray, "b d"]:
    """A module's updates over LoRAs that all have it, each formed and flattened."""
    dense = delta_weights([adapter.updates[module] for adapter in adapters])
    rows = dense.reshape(len(dense), -1)
    if scale == "none":
        return rows
    return rows * scale_factors(np.linalg.norm(rows, axis=1), scale)[:, None]


class PaperPCA(Projection):
    """Learns module by module and batch by batch, as the paper does."""

    def __init__(self, settings: FeatureSettings) -> None:
        super().__init__(settings)
        self.fits: dict[str, _ModuleFit] = {}

    def _learn(self, adapters: Sequence[Adapter]) -> None:
        held = list(self._checked(adapters))
        for module in live_modules(held):
            own = [adapter for adapter in held if module in adapter.updates]
            fit = self.fits.setdefault(module, _ModuleFit(self.settings))
            fit.add(flattened_updates(own, module, self.settings.scale))

    def _freeze(self) -> DenseBasis:
        assert self.base_model is not None
        seen = (module for module in sorted(self.fits) if self.fits[module].count > 1)
        fitted = {module: self.fits[module].pca() for module in seen}
        pcas = {module: pca for module, pca in fitted.items() if pca is not None}
        facts = BasisFacts(
            kind="incremental_pca",
            base_model=self.base_model,
            width=self.settings.components,
            scale=self.settings.scale,
            modules=tuple(pcas),
            fitted_on=tuple(self.fits[module].count for module in pcas),
        )
        return DenseBasis(facts, tuple(pcas.values()))


class _ModuleFit:
    """One module's PCA in the making, exact in one batch, approximate over several.

    scikit-learn wants batches of at least as many LoRAs as there are components. So one
    to two batches of rows wait until the end, and then make the last one.
    """

    def __init__(self, settings: FeatureSettings) -> None:
        self.width = settings.components
        self.step = max(settings.batch, settings.components)
        self.count = 0
        self._model: IncrementalPCA | None = None
        self._waiting = np.zeros((0, 0), "f4")

    def add(self, rows: Float[np.ndarray, "b d"]) -> None:
        self.count += len(rows)
        waiting = [self._waiting, rows] if len(self._waiting) else [rows]
        self._waiting = np.concatenate(waiting)
        while len(self._waiting) >= 2 * self.step:
            self._model = _fed(self._model, self._waiting[: self.step], self.width)
            self._waiting = self._waiting[self.step :]

    def pca(self) -> LinearPCA | None:
        """The components so far; None where the LoRAs do not differ."""
        if self._model is None and not np.ptp(self._waiting, axis=0).any():
            return None
        model = _fed(deepcopy(self._model), self._waiting, self.width)
        singular = np.asarray(model.singular_values_)
        # Directions beyond the rank of the data are arbitrary and must not score.
        kept = singular > singular[0] * SINGULAR_TOLERANCE
        return LinearPCA(
            np.asarray(model.mean_, "f4"),
            np.asarray(model.components_, "f4")[kept],
            np.asarray(model.explained_variance_ratio_)[kept],
        )


def _fed(
    model: "IncrementalPCA | None", rows: Float[np.ndarray, "b d"], width: int
) -> "IncrementalPCA":
    """The model after one batch more; a first batch decides on the components."""
    from sklearn.decomposition import IncrementalPCA

    if model is None:
        model = IncrementalPCA(n_components=min(width, len(rows) - 1, rows.shape[1]))
    return model.partial_fit(rows)
