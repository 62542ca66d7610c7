"""How each family of LoRA makes its update out of what it trains.

Receives the modules that a LoRA targets and its rank, hands on weights to train and, at
every step, what they add to each module. Weights of all LoRAs of a family have one
structure, so that many train in one compiled step: ranks are padded with zeros, and a
module that a LoRA leaves alone is one of rank 0. What is padded stays zero, because
each factor's gradient is a product with the others.

References:
  LoRA: Hu et al. 2021; LoHa: Hyeon-Woo et al. 2022 (FedPara); LoKr and LoCon: Yeh et
  al. 2024 (LyCORIS); SuperLoRA: Chen et al. 2024.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from lorajax.adapters.superlora import fold, group_sizes, permutation
from lorajax.naming.zoo import MODULES
from lorajax.zoo.base.model import Change, Factors

# Name of a tensor → the tensor; which of its axes counts the rank, where one does.
Tensors = dict[str, Float[Array | np.ndarray, "..."]]
RANK_AXES = {
    **{"down": 0, "up": 1, "a0": 1, "a1": 1, "lokr_w2_a": 1, "lokr_w2_b": 0},
    **{"hada_w1_a": 1, "hada_w1_b": 0, "hada_w2_a": 1, "hada_w2_b": 0},
}
# Module (or group of modules) → its tensors.
Weights = dict[str, Tensors]
Shapes = Mapping[str, tuple[int, ...]]

_ATTENTION = tuple(m.name for m in MODULES if ".attentions." in m.name)
_PROJECTIONS = tuple(n for n in _ATTENTION if ".attn1." in n or ".attn2." in n)
# What trainers target: kohya's Transformer2DModel, diffusers' attention projections,
# the caption's way in alone, and LyCORIS' `full` with every convolution.
TARGETS: dict[str, tuple[str, ...]] = {
    "attention": _ATTENTION,
    "projections": _PROJECTIONS,
    "cross": tuple(n for n in _PROJECTIONS if ".attn2." in n),
    "all": tuple(m.name for m in MODULES),
}
SHAPES = {module.name: module.shape for module in MODULES}

SUPER_GROUPS = 3
SUPER_SHUFFLE = 7


class Family(NamedTuple):
    """A parametrisation.

    Attributes:
      init: (rng, modules' shapes, rank) → weights whose update is zero.
      change: weights → what they add at each module, at scale 1.
    """

    init: Callable[[np.random.Generator, Shapes, int], Weights]
    change: Callable[[Weights], dict[str, Change]]


def init_low_rank(rng: np.random.Generator, shapes: Shapes, rank: int) -> Weights:
    """`down` uniform as trainers draw it, `up` zero."""
    return {
        name: {
            "down": _uniform(rng, (rank, *shape[1:]), fan_in=_fan_in(shape)),
            "up": np.zeros((shape[0], rank), np.float32),
        }
        for name, shape in shapes.items()
    }


def change_low_rank(weights: Weights) -> dict[str, Change]:
    """ΔW = up @ down, kept as factors."""
    return {name: Factors(own["down"], own["up"]) for name, own in weights.items()}


def init_hadamard(rng: np.random.Generator, shapes: Shapes, rank: int) -> Weights:
    """LyCORIS' start: the second half's left factor is zero."""
    return {
        name: {
            "hada_w1_a": _normal(rng, (shape[0], rank), 0.1),
            "hada_w1_b": _normal(rng, (rank, _fan_in(shape)), 1.0),
            "hada_w2_a": np.zeros((shape[0], rank), np.float32),
            "hada_w2_b": _normal(rng, (rank, _fan_in(shape)), 1.0),
        }
        for name, shape in shapes.items()
    }


def change_hadamard(weights: Weights) -> dict[str, Change]:
    """LoHa: ΔW = (w1_a @ w1_b) ⊙ (w2_a @ w2_b)."""
    return {
        name: (own["hada_w1_a"] @ own["hada_w1_b"])
        * (own["hada_w2_a"] @ own["hada_w2_b"])
        for name, own in weights.items()
    }


def init_kronecker(rng: np.random.Generator, shapes: Shapes, rank: int) -> Weights:
    """A whole first factor, a low-rank second one whose left half is zero."""
    weights: Weights = {}
    for name, shape in shapes.items():
        (p, s), (q, t) = near_square(shape[0]), near_square(shape[1])
        weights[name] = {
            "lokr_w1": _uniform(rng, (p, q), fan_in=q),
            "lokr_w2_a": np.zeros((s, rank), np.float32),
            "lokr_w2_b": _uniform(rng, (rank, t, *shape[2:]), fan_in=t),
        }
    return weights


def change_kronecker(weights: Weights) -> dict[str, Change]:
    """LoKr: ΔW = w1 ⊗ (w2_a @ w2_b), the kernel's axes kept last."""
    changes: dict[str, Change] = {}
    for name, own in weights.items():
        p, (s, rank) = len(own["lokr_w1"]), own["lokr_w2_a"].shape
        t = own["lokr_w2_b"].shape[1]
        second = own["lokr_w2_a"] @ own["lokr_w2_b"].reshape(rank, -1)
        whole = jnp.einsum("pq,stk->psqtk", own["lokr_w1"], second.reshape(s, t, -1))
        changes[name] = whole.reshape(p * s, -1)
    return changes


def near_square(count: int) -> tuple[int, int]:
    """The two factors of `count` that are nearest each other, the smaller first."""
    small = next(d for d in range(int(count**0.5), 0, -1) if count % d == 0)
    return small, count // small


def init_grouped(rng: np.random.Generator, shapes: Shapes, rank: int) -> Weights:
    """SuperLoRA's mode factors of each group: the first drawn, the second zero."""
    weights: Weights = {}
    for group, size in enumerate(_group_sizes(shapes)):
        rows, columns = fold(size, 2)
        weights[f"g{group}"] = {
            "a0": np.zeros((rows, rank), np.float32),
            "a1": _uniform(rng, (columns, rank), fan_in=columns),
        }
    return weights


def change_grouped(weights: Weights) -> dict[str, Change]:
    """SuperLoRA: all of attention's ΔW as one vector, in groups that cross modules.

    Each group is a folded matrix a0 @ a1ᵀ, its entries shuffled by a fixed permutation.
    """
    shapes = {name: SHAPES[name] for name in TARGETS["attention"]}
    pieces = []
    for group, size in enumerate(_group_sizes(shapes)):
        own = weights[f"g{group}"]
        values = (own["a0"] @ own["a1"].T).reshape(-1)[:size]
        pieces.append(_shuffled(values, permutation(SUPER_SHUFFLE, group, size)))
    vector, changes, start = jnp.concatenate(pieces), {}, 0
    for name, shape in shapes.items():
        size = math.prod(shape)
        changes[name] = vector[start : start + size].reshape(shape[0], -1)
        start += size
    return changes


def _shuffled(
    values: Float[Array | np.ndarray, " n"], order: Int[np.ndarray, " n"]
) -> Float[Array, " n"]:
    """`values[order]`, its gradient read back too: scattering crawls on CPUs."""
    back = np.argsort(order)

    @jax.custom_vjp
    def shuffle(values: Array) -> Array:
        return values[order]

    shuffle.defvjp(lambda values: (values[order], None), lambda _, g: (g[back],))
    return shuffle(jnp.asarray(values))


def zero_beyond(tensors: Tensors, rank: int) -> Tensors:
    """One module's tensors with zeros beyond a rank; rank 0 leaves nothing."""
    kept = {}
    for name, array in tensors.items():
        array = np.array(array)
        if name in RANK_AXES:
            np.moveaxis(array, RANK_AXES[name], 0)[rank:] = 0
        elif rank == 0:
            array[:] = 0
        kept[name] = array
    return kept


def cut_to(tensors: Tensors, rank: int) -> Tensors:
    """One module's tensors at their own rank, without the padding."""
    return {
        name: np.take(np.asarray(array), np.arange(rank), RANK_AXES[name])
        if name in RANK_AXES
        else array
        for name, array in tensors.items()
    }


def widen(tensors: Tensors, rank: int) -> Tensors:
    """The opposite of `cut_to`: one module's tensors padded with zeros to a rank."""
    wide = {}
    for name, array in tensors.items():
        pads = [(0, 0)] * array.ndim
        if name in RANK_AXES:
            axis = RANK_AXES[name]
            pads[axis] = (0, rank - array.shape[axis])
        wide[name] = np.pad(array, pads)
    return wide


def _group_sizes(shapes: Shapes) -> tuple[int, ...]:
    return group_sizes(sum(map(math.prod, shapes.values())), SUPER_GROUPS)


def _fan_in(shape: tuple[int, ...]) -> int:
    return math.prod(shape[1:])


def _uniform(
    rng: np.random.Generator, shape: tuple[int, ...], fan_in: int
) -> Float[np.ndarray, "..."]:
    return (rng.uniform(-1, 1, shape) / np.sqrt(fan_in)).astype(np.float32)


def _normal(
    rng: np.random.Generator, shape: tuple[int, ...], std: float
) -> Float[np.ndarray, "..."]:
    return (rng.normal(size=shape) * std).astype(np.float32)


FAMILIES: dict[str, Family] = {
    "lora": Family(init_low_rank, change_low_rank),
    "locon": Family(init_low_rank, change_low_rank),
    "loha": Family(init_hadamard, change_hadamard),
    "lokr": Family(init_kronecker, change_kronecker),
    "superlora": Family(init_grouped, change_grouped),
}
