"""Inner products of updates from their factors, module by module.

With ΔW_i = B_i A_i (scale folded in), ⟨ΔW_i, ΔW_j⟩ = Σ (B_iᵀB_j) ∘ (A_iA_jᵀ): two
small products instead of two dense updates. Stacking all factors of a module makes the
whole Gram matrix two matrix products and one sum over blocks of ranks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from lorajax.adapters.adapter import Adapter
from lorajax.errors import ProjectionError


@dataclass(frozen=True)
class Stack:
    """The factors of one module over several LoRAs, side by side.

    Attributes:
      up: columns of all `up` factors.
      down: rows of all `down` factors.
      starts: where each LoRA's ranks begin.
    """

    up: Float[np.ndarray, "out ranks"]
    down: Float[np.ndarray, "ranks in_"]
    starts: np.ndarray

    @property
    def nbytes(self) -> int:
        return self.up.nbytes + self.down.nbytes


@dataclass(frozen=True)
class CollectionGram:
    """Inner products of all pairs of a collection, per module.

    Attributes:
      modules: canonical names; only modules that are live somewhere.
      gram: zero in the rows and columns of LoRAs that lack the module.
      live: which LoRA has which module.
    """

    modules: tuple[str, ...]
    gram: Float[np.ndarray, "n b b"]
    live: Bool[np.ndarray, "b n"]


def stack(adapters: Sequence[Adapter], module: str) -> Stack:
    """Stacks one module's factors over LoRAs that all have it."""
    pairs = [factors(adapter, module) for adapter in adapters]
    ranks = [len(down) for _, down in pairs]
    return Stack(
        up=np.concatenate([up for up, _ in pairs], axis=1),
        down=np.concatenate([down for _, down in pairs], axis=0),
        starts=np.concatenate([[0], np.cumsum(ranks)[:-1]]).astype(np.int64),
    )


def factors(adapter: Adapter, module: str) -> tuple[np.ndarray, np.ndarray]:
    """`(up, down)` of a live module, their product being the scaled update."""
    pair = adapter.updates[module].factors()
    if pair is None:
        raise ProjectionError(
            f"{adapter.name}: {module} has no low-rank factors",
            "use features.projection=sketch_pca for this collection",
        )
    return pair


def cross_gram(a: Stack, b: Stack) -> Float[np.ndarray, "a b"]:
    """⟨ΔW_i, ΔW_j⟩ for every LoRA i of `a` and j of `b`, in double precision."""
    products = (a.up.T.astype("f8") @ b.up) * (a.down.astype("f8") @ b.down.T)
    rows = np.add.reduceat(products, a.starts, axis=0)
    return np.add.reduceat(rows, b.starts, axis=1)


def collection_gram(adapters: Sequence[Adapter]) -> CollectionGram:
    """All inner products of a collection of one base model."""
    modules = live_modules(adapters)
    live = np.array([[m in a.updates for m in modules] for a in adapters], bool)
    gram = np.zeros((len(modules), len(adapters), len(adapters)))
    for n, module in enumerate(modules):
        members = np.flatnonzero(live[:, n])
        stacked = stack([adapters[int(i)] for i in members], module)
        gram[n][np.ix_(members, members)] = cross_gram(stacked, stacked)
    return CollectionGram(modules, gram, live)


def live_modules(adapters: Sequence[Adapter]) -> tuple[str, ...]:
    """Modules that are live in any of the LoRAs, in a fixed order."""
    return tuple(sorted({name for adapter in adapters for name in adapter.updates}))
