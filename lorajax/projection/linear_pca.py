"""PCA with explicit components, over a vector per module.

Two kinds share it: `sketch_pca`, whose vectors are the cores of two-sided sketches
(bounded size, any collection), and `incremental_pca`, the paper's form, whose vectors
are whole flattened updates and whose fit is scikit-learn's IncrementalPCA.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.delta_weight import delta_weight
from lorajax.projection.basis import Basis, BasisFacts
from lorajax.projection.features import Features
from lorajax.projection.gram import live_modules
from lorajax.projection.gram_pca import fit_members
from lorajax.projection.sketch import Sketches, sketch_module

# Singular values of float32 data below this share of the largest are rounding noise.
SINGULAR_TOLERANCE = 1e-5


@dataclass(frozen=True)
class LinearPCA:
    """One module's mean and components in the space of its vectors."""

    mean: Float[np.ndarray, " d"]
    components: Float[np.ndarray, "k d"]
    explained_variance_ratio: Float[np.ndarray, " k"]

    def transform(self, vectors: Float[np.ndarray, "b d"]) -> np.ndarray:
        return (vectors - self.mean) @ self.components.T


@dataclass(frozen=True)
class LinearBasis(Basis):
    """Per module, a mean and components; `side` is that of the sketch, if any."""

    facts: BasisFacts
    pcas: tuple[LinearPCA, ...]
    side: int

    def module_scores(self, adapter: Adapter, n: int) -> np.ndarray:
        module = self.facts.modules[n]
        if self.facts.kind == "sketch_pca":
            vector = sketch_module(adapter, module, self.side)
        else:
            vector = flattened_update(adapter, module)
        return self.pcas[n].transform(vector[None])[0]

    @property
    def explained_variance_ratio(self) -> tuple[np.ndarray, ...]:
        return tuple(pca.explained_variance_ratio for pca in self.pcas)

    def arrays(self) -> dict[str, np.ndarray]:
        arrays = {"side": np.array([self.side])}
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
    ) -> "LinearBasis":
        parts = ("mean", "components", "explained_variance_ratio")
        pcas = [
            LinearPCA(*(arrays[f"{n}.{part}"] for part in parts))
            for n in range(len(facts.modules))
        ]
        return cls(facts, tuple(pcas), int(arrays["side"][0]))


def flattened_update(adapter: Adapter, module: str) -> Float[np.ndarray, " d"]:
    """The dense update of a module, flattened: the paper's first step."""
    update = adapter.updates[module]
    if pair := update.factors():
        return np.asarray(delta_weight(*pair, 1.0)).reshape(-1)
    return np.asarray(update.dense(), "f4").reshape(-1)


class PreparedSketch:
    """A collection whose sketches are known; the LoRAs themselves are not kept."""

    def __init__(self, sketches: Sketches, base_model: str) -> None:
        self.sketches, self.base_model = sketches, base_model

    def fit(self, train: np.ndarray, width: int) -> LinearBasis:
        side = int(np.sqrt(self.sketches.cores.shape[-1]))

        def fit_module(n: int, members: np.ndarray) -> LinearPCA | None:
            vectors = self.sketches.cores[:, n]
            gram = vectors.astype("f8") @ vectors.T
            pca = fit_members(gram, members, width)
            if pca is None:
                return None
            components = (pca.alpha.T @ vectors[members]).astype("f4")
            mean = vectors[members].mean(0)
            return LinearPCA(mean, components, pca.explained_variance_ratio)

        return _fit_modules(
            "sketch_pca",
            self.base_model,
            width,
            (self.sketches.modules, self.sketches.live),
            train,
            fit_module,
            side,
        )

    def features(self, basis: LinearBasis, train: np.ndarray) -> Features:
        """The features of the whole collection."""
        sketches = self.sketches
        places = [sketches.modules.index(module) for module in basis.facts.modules]
        mask = sketches.live[:, places]
        rows = [
            _padded(pca.transform(sketches.cores[:, place]), basis.facts.width)
            for place, pca in zip(places, basis.pcas, strict=True)
        ]
        scores = np.stack(rows, axis=1) * mask[:, :, None]
        return Features(scores.astype("f4"), mask)


class PreparedDense:
    """A collection for the paper's route; one module is dense at a time."""

    def __init__(self, adapters: Sequence[Adapter], batch: int) -> None:
        self.adapters, self.batch = adapters, batch
        self.modules = live_modules(adapters)
        self.live = np.array([[m in a.updates for m in self.modules] for a in adapters])

    def fit(self, train: np.ndarray, width: int) -> LinearBasis:
        def fit_module(n: int, members: np.ndarray) -> LinearPCA | None:
            if len(members) < 2:
                return None
            vectors = self._vectors(self.modules[n], members)
            return fit_incremental(vectors, width, self.batch)

        base_model = self.adapters[0].base_model
        modules = (self.modules, self.live)
        return _fit_modules(
            "incremental_pca", base_model, width, modules, train, fit_module, 0
        )

    def features(self, basis: LinearBasis, train: np.ndarray) -> Features:
        """The features of the whole collection."""
        names = basis.facts.modules
        mask = self.live[:, [self.modules.index(name) for name in names]]
        scores = np.zeros((len(mask), len(names), basis.facts.width), "f4")
        for n, (name, pca) in enumerate(zip(names, basis.pcas, strict=True)):
            members = np.flatnonzero(mask[:, n])
            rows = pca.transform(self._vectors(name, members))
            scores[members, n, : rows.shape[1]] = rows
        return Features(scores, mask)

    def _vectors(self, module: str, members: np.ndarray) -> np.ndarray:
        return np.stack(
            [flattened_update(self.adapters[int(i)], module) for i in members]
        )


def fit_incremental(
    vectors: Float[np.ndarray, "b d"], width: int, batch: int
) -> LinearPCA | None:
    """scikit-learn's IncrementalPCA; exact in one batch, approximate over several.

    Every batch must hold at least as many LoRAs as there are components, so batches
    are that long at least and a short last one is joined to the one before it. None
    where the vectors do not differ.
    """
    from sklearn.decomposition import IncrementalPCA

    if not np.ptp(vectors, axis=0).any():
        return None
    count = min(width, len(vectors) - 1, vectors.shape[1])
    pca = IncrementalPCA(n_components=count)
    step = max(batch, count)
    starts = list(range(0, len(vectors) - count + 1, step)) or [0]
    for start, end in pairwise([*starts, len(vectors)]):
        pca.partial_fit(vectors[start:end])
    singular = np.asarray(pca.singular_values_)
    # Directions beyond the rank of the data are arbitrary and must not score.
    kept = singular > singular[0] * SINGULAR_TOLERANCE
    return LinearPCA(
        np.asarray(pca.mean_, "f4"),
        np.asarray(pca.components_, "f4")[kept],
        np.asarray(pca.explained_variance_ratio_)[kept],
    )


def _fit_modules(
    kind: str,
    base_model: str,
    width: int,
    modules: tuple[tuple[str, ...], np.ndarray],
    train: np.ndarray,
    fit_module: Callable[[int, np.ndarray], LinearPCA | None],
    side: int,
) -> LinearBasis:
    """Fits every module over the training LoRAs that have it; skips the constant."""
    names, live = modules
    chosen: list[tuple[str, int, LinearPCA]] = []
    for n, name in enumerate(names):
        members = train[live[train, n]]
        pca = fit_module(n, members)
        if pca is not None:
            chosen.append((name, len(members), pca))
    facts = BasisFacts(
        kind=kind,
        base_model=base_model,
        width=width,
        modules=tuple(name for name, _, _ in chosen),
        fitted_on=tuple(count for _, count, _ in chosen),
    )
    return LinearBasis(facts, tuple(pca for _, _, pca in chosen), side)


def _padded(rows: Float[np.ndarray, "b k"], width: int) -> np.ndarray:
    return np.pad(rows, ((0, 0), (0, width - rows.shape[1])))
