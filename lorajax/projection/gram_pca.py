"""`gram_pca`: the exact per-module PCA, by inner products of factors.

It equals a full PCA of flattened updates and never forms one. Its basis keeps the
training factors, since a component is a weighted sum of training updates; that is what
bounds it to collections of small files.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lorajax.adapters.adapter import Adapter
from lorajax.projection.basis import Basis, BasisFacts
from lorajax.projection.features import Features
from lorajax.projection.gram import (
    CollectionGram,
    Stack,
    collection_gram,
    cross_gram,
    stack,
)
from lorajax.projection.pca import DualPCA, fit_dual_pca


@dataclass(frozen=True)
class GramBasis(Basis):
    """Training factors and, per module, the weights of the training updates."""

    facts: BasisFacts
    stacks: tuple[Stack, ...]
    pcas: tuple[DualPCA, ...]

    def module_scores(self, adapter: Adapter, n: int) -> np.ndarray:
        query = stack([adapter], self.facts.modules[n], self.stacks[n])
        return self.pcas[n].transform(cross_gram(query, self.stacks[n]))[0]

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
        return cls(facts, tuple(stacks), tuple(pcas))


class PreparedGram:
    """A collection whose inner products are known: any subset of it can be fitted."""

    def __init__(self, adapters: Sequence[Adapter]) -> None:
        self.adapters = adapters
        self.collection: CollectionGram = collection_gram(adapters)

    def fit(self, train: np.ndarray, width: int) -> GramBasis:
        """Fits a basis on the LoRAs with the indices `train`."""
        collection, chosen = self.collection, []
        for n in range(len(collection.modules)):
            members = train[collection.live[train, n]]
            pca = fit_members(collection.gram[n], members, width)
            if pca is not None:
                chosen.append((collection.modules[n], members, pca))
        facts = BasisFacts(
            kind="gram_pca",
            base_model=self.adapters[0].base_model,
            width=width,
            modules=tuple(module for module, _, _ in chosen),
            fitted_on=tuple(len(members) for _, members, _ in chosen),
        )
        stacks = tuple(
            stack([self.adapters[int(i)] for i in members], module)
            for module, members, _ in chosen
        )
        return GramBasis(facts, stacks, tuple(pca for _, _, pca in chosen))

    def features(self, basis: GramBasis, train: np.ndarray) -> Features:
        """The features of the whole collection in a basis fitted on `train`."""
        collection = self.collection
        places = [collection.modules.index(module) for module in basis.facts.modules]
        mask = collection.live[:, places]
        scores = np.zeros((len(mask), len(places), basis.facts.width), "f4")
        for n, (place, pca) in enumerate(zip(places, basis.pcas, strict=True)):
            fitted = train[collection.live[train, place]]
            rows = pca.transform(collection.gram[place][:, fitted])
            scores[:, n, : rows.shape[1]] = np.where(mask[:, n, None], rows, 0.0)
        return Features(scores, mask)


def fit_members(gram: np.ndarray, members: np.ndarray, width: int) -> DualPCA | None:
    """The PCA of one module, or None where its training LoRAs do not differ."""
    if len(members) < 2:
        return None
    pca = fit_dual_pca(gram[np.ix_(members, members)], width)
    return pca if pca.alpha.shape[1] else None
