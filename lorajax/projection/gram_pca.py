"""`gram_pca`: the exact per-module PCA, by inner products of factors.

It equals a full PCA of flattened updates and never forms one. Its basis keeps the
training factors, since a component is a weighted sum of training updates; that is what
bounds it to collections of small files. Nothing of them is compressed, so that a LoRA
that was not fitted on gets exact scores too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from lorajax.adapters.adapter import Adapter
from lorajax.config.features import FeatureSettings
from lorajax.projection.basis import Basis, BasisFacts
from lorajax.projection.features import Features
from lorajax.projection.gram import (
    CollectionGram,
    Stack,
    collection_gram,
    cross_gram,
    stack,
)
from lorajax.projection.interface import Projection
from lorajax.projection.pca import DualPCA, fit_dual_pca
from lorajax.projection.scaling import scale_factors


@dataclass(frozen=True)
class GramBasis(Basis):
    """Training factors, scaled, and per module the weights of the training updates."""

    facts: BasisFacts
    stacks: tuple[Stack, ...]
    pcas: tuple[DualPCA, ...]

    def live_scores(
        self, adapter: Adapter, places: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, "m k"]:
        scores = np.zeros((len(places), self.facts.width))
        for row, n in zip(scores, places, strict=True):
            products, _ = self._products(adapter, int(n))
            own = self.pcas[n].transform(products)[0]
            row[: len(own)] = own
        return scores

    def energies(
        self, adapter: Adapter, places: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, " m"]:
        parts = [
            self.pcas[n].squared_lengths(*self._products(adapter, int(n)))
            for n in places
        ]
        return np.concatenate(parts)

    def _products(
        self, adapter: Adapter, n: int
    ) -> tuple[Float[np.ndarray, "1 b"], Float[np.ndarray, "1"]]:
        """Inner products with the training updates and with itself, all scaled."""
        module = self.facts.modules[n]
        squared = np.array([adapter.updates[module].squared_norm()])
        factor = scale_factors(np.sqrt(squared), self.facts.scale)
        query = stack([adapter], module, self.stacks[n])
        return cross_gram(query, self.stacks[n]) * factor, squared * factor**2

    @property
    def explained_variance_ratio(self) -> tuple[np.ndarray, ...]:
        return tuple(pca.explained_variance_ratio for pca in self.pcas)

    def arrays(self) -> dict[str, np.ndarray]:
        arrays: dict[str, np.ndarray] = {}
        for n, (factors, pca) in enumerate(zip(self.stacks, self.pcas, strict=True)):
            arrays |= {
                f"{n}.up": factors.up,
                f"{n}.down": factors.down,
                f"{n}.starts": factors.starts,
                f"{n}.alpha": pca.alpha,
                f"{n}.row_mean": pca.row_mean,
                f"{n}.explained_variance": pca.explained_variance,
                f"{n}.total_variance": np.array([pca.total_variance]),
            }
        return arrays

    @classmethod
    def from_arrays(
        cls, facts: BasisFacts, arrays: dict[str, np.ndarray]
    ) -> "GramBasis":
        """The inverse of `arrays`.

        Raises:
          ValueError: for arrays that do not fit together.
        """
        count = len(facts.modules)
        stacks = [
            Stack(*(arrays[f"{n}.{part}"] for part in ("up", "down", "starts")))
            for n in range(count)
        ]
        pcas = [
            DualPCA(
                arrays[f"{n}.alpha"],
                arrays[f"{n}.row_mean"],
                arrays[f"{n}.explained_variance"],
                float(arrays[f"{n}.total_variance"][0]),
            )
            for n in range(count)
        ]
        for factors, pca in zip(stacks, pcas, strict=True):
            _check(factors, pca)
        return cls(facts, tuple(stacks), tuple(pcas))


class GramPCA(Projection):
    """Learns by keeping LoRAs and the inner products of all pairs of them."""

    def __init__(self, settings: FeatureSettings) -> None:
        super().__init__(settings)
        self.adapters: list[Adapter] = []
        self.collection: CollectionGram | None = None

    def _learn(self, adapters: Sequence[Adapter]) -> None:
        self.adapters += self._checked(adapters)
        self.collection = collection_gram(self.adapters, self.collection)

    def _freeze(self) -> GramBasis:
        return self.basis_of(np.arange(len(self.adapters)))

    def basis_of(self, train: Int[np.ndarray, " t"]) -> GramBasis:
        """The basis of some of the LoRAs that were learnt from."""
        assert self.collection is not None and self.base_model is not None
        chosen: list[tuple[str, np.ndarray, Stack, DualPCA]] = []
        for n, module in enumerate(self.collection.modules):
            members = train[self.collection.live[train, n]]
            gram, factors = self._scaled_gram(n, members, members)
            pca = fit_dual_pca(gram, self.settings) if len(members) > 1 else None
            if pca is not None:
                stacked = stack([self.adapters[int(i)] for i in members], module)
                chosen.append((module, members, stacked.scaled(factors), pca))
        facts = BasisFacts(
            kind="gram_pca",
            base_model=self.base_model,
            width=self.settings.components,
            scale=self.settings.scale,
            modules=tuple(module for module, _, _, _ in chosen),
            fitted_on=tuple(len(members) for _, members, _, _ in chosen),
        )
        return GramBasis(
            facts,
            tuple(stacked for _, _, stacked, _ in chosen),
            tuple(pca for _, _, _, pca in chosen),
        )

    def features_of(
        self,
        basis: GramBasis,
        train: Int[np.ndarray, " t"],
        wanted: Int[np.ndarray, " w"],
    ) -> Features:
        """The features of some that were learnt from, in a basis of `train`."""
        assert self.collection is not None
        collection = self.collection
        places = [collection.modules.index(module) for module in basis.facts.modules]
        mask = collection.live[wanted][:, places]
        scores = np.zeros((len(mask), len(places), basis.facts.width), "f4")
        for n, (place, pca) in enumerate(zip(places, basis.pcas, strict=True)):
            fitted = train[collection.live[train, place]]
            products, _ = self._scaled_gram(place, wanted, fitted)
            rows = pca.transform(products)
            scores[:, n, : rows.shape[1]] = np.where(mask[:, n, None], rows, 0.0)
        return Features(scores, mask)

    def _scaled_gram(
        self, n: int, rows: Int[np.ndarray, " a"], columns: Int[np.ndarray, " b"]
    ) -> tuple[Float[np.ndarray, "a b"], Float[np.ndarray, " b"]]:
        """A part of a module's inner products, scaled, and its columns' factors."""
        assert self.collection is not None
        gram = self.collection.gram[n]
        norms = np.sqrt(np.maximum(np.diag(gram), 0.0))
        factors = scale_factors(norms, self.settings.scale)
        scaled = gram[np.ix_(rows, columns)] * factors[rows, None] * factors[columns]
        return scaled, factors[columns]


def _check(factors: Stack, pca: DualPCA) -> None:
    steps = np.diff([*factors.starts, len(factors.down)])
    if factors.up.shape[1] != len(factors.down) or factors.starts[0] != 0:
        raise ValueError("factors do not fit together")
    if (steps <= 0).any() or len(factors.starts) != len(pca.row_mean):
        raise ValueError("factors do not belong to the components")
    if pca.alpha.shape != (*pca.row_mean.shape, *pca.explained_variance.shape):
        raise ValueError("components and mean differ in shape")
