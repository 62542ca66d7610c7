"""Inner products of updates from their factors, module by module.

With ΔW_i = B_i A_i (scale folded in), ⟨ΔW_i, ΔW_j⟩ = Σ (B_iᵀB_j) ∘ (A_iA_jᵀ): two
small products instead of two dense updates. Stacking all factors of a module makes the
whole Gram matrix two matrix products and one sum over blocks of ranks. Where updates
have no factors, as most LoKr, and it takes less room, every update is one column
instead: a factor pair of rank one whose `down` is a 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.algebra import exact_factors


@dataclass(frozen=True)
class Stack:
    """The factors of one module over several LoRAs, side by side.

    Attributes:
      up: columns of all `up` factors, or the flattened updates.
      down: rows of all `down` factors, or ones.
      starts: where each LoRA's ranks begin.
    """

    up: Float[np.ndarray, "out ranks"]
    down: Float[np.ndarray, "ranks in_"]
    starts: np.ndarray

    def scaled(self, factors: Float[np.ndarray, " b"]) -> "Stack":
        """Every LoRA's update times its own factor."""
        ranks = np.diff([*self.starts, len(self.down)])
        return Stack(
            self.up * np.repeat(factors, ranks).astype(self.up.dtype),
            self.down,
            self.starts,
        )


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


def stack(adapters: Sequence[Adapter], module: str, like: Stack | None = None) -> Stack:
    """Stacks one module's factors over LoRAs that all have it.

    Args:
      like: a stack of the same module that this one is to be multiplied with.
    """
    updates = [adapter.updates[module] for adapter in adapters]
    pairs = [update.factors() for update in updates]
    if _flattens(pairs, updates[0].shape, like):
        columns = [np.asarray(update.dense(), "f4").reshape(-1) for update in updates]
        ones, starts = np.ones((len(updates), 1), "f4"), np.arange(len(updates))
        return Stack(np.stack(columns, axis=1), ones, starts.astype(np.int64))
    pairs = [p or exact_factors(u) for p, u in zip(pairs, updates, strict=True)]
    ranks = [len(down) for _, down in pairs]
    return Stack(
        up=np.concatenate([up for up, _ in pairs], axis=1),
        down=np.concatenate([down for _, down in pairs], axis=0),
        starts=np.concatenate([[0], np.cumsum(ranks)[:-1]]).astype(np.int64),
    )


def _flattens(
    pairs: Sequence[tuple[np.ndarray, np.ndarray] | None],
    shape: tuple[int, int],
    like: Stack | None,
) -> bool:
    """Whether updates are stacked flat: as `like` is, or some have no factors."""
    out, in_ = shape
    if like is not None:
        return like.up.shape[0] == out * in_
    if all(pair is not None for pair in pairs):
        return False
    ranks = sum(min(shape) if pair is None else len(pair[1]) for pair in pairs)
    return ranks * (out + in_) > len(pairs) * out * in_


def cross_gram(a: Stack, b: Stack) -> Float[np.ndarray, "a b"]:
    """⟨ΔW_i, ΔW_j⟩ for every LoRA i of `a` and j of `b`, in double precision."""
    products = (a.up.T.astype("f8") @ b.up) * (a.down.astype("f8") @ b.down.T)
    rows = np.add.reduceat(products, a.starts, axis=0)
    return np.add.reduceat(rows, b.starts, axis=1)


def collection_gram(
    adapters: Sequence[Adapter], known: CollectionGram | None = None
) -> CollectionGram:
    """All inner products of a collection of one base model.

    Args:
      known: those of its first LoRAs, which are not computed again.
    """
    modules = live_modules(adapters)
    live = np.array([[m in a.updates for m in modules] for a in adapters], bool)
    old = known.live.shape[0] if known else 0
    gram = np.zeros((len(modules), len(adapters), len(adapters)))
    for n, module in enumerate(modules):
        if known and module in known.modules:
            gram[n, :old, :old] = known.gram[known.modules.index(module)]
        members = np.flatnonzero(live[:, n])
        new = members[members >= old]
        if not len(new):
            continue
        everyone = stack([adapters[int(i)] for i in members], module)
        added = stack([adapters[int(i)] for i in new], module, everyone)
        products = cross_gram(added, everyone)
        gram[n][np.ix_(new, members)] = products
        gram[n][np.ix_(members, new)] = products.T
    return CollectionGram(modules, gram, live)


def live_modules(adapters: Sequence[Adapter]) -> tuple[str, ...]:
    """Modules that are live in any of the LoRAs, in a fixed order."""
    return tuple(sorted({name for adapter in adapters for name in adapter.updates}))
