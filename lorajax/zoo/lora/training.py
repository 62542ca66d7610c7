"""Trains many LoRAs at once: one compiled step for all of a family.

Receives plans and captioned pictures, returns weights. Every LoRA has its own
pictures, seed, rank, targets, learning rate and length; `jax.vmap` over the LoRAs
makes one step of them, in which the base model's weights are shared.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from lorajax.zoo.base.model import Change, Params, flow_loss
from lorajax.zoo.lora.parametrisations import (
    FAMILIES,
    SHAPES,
    TARGETS,
    Weights,
    cut_to,
    widen,
    zero_beyond,
)

SHARED_SEED = 42
PADDED_TO = 32  # pictures of a set
RANKS = (1, 2, 4, 8)
MAX_RANK = max(RANKS)
# Families whose targets cannot differ within one compiled step.
WHOLE = ("superlora",)


@dataclass(frozen=True)
class Plan:
    """What a trainer is told about one LoRA.

    Attributes:
      family: a name of `parametrisations.FAMILIES`.
      targets: a name of `parametrisations.TARGETS`.
      shared_down: starts from the random numbers that all such LoRAs start from.
      rslora: scale = alpha / sqrt(rank) instead of alpha / rank.
    """

    family: str
    targets: str
    rank: int
    alpha: float
    learning_rate: float
    steps: int
    seed: int
    shared_down: bool = False
    rslora: bool = False

    @property
    def scale(self) -> float:
        return self.alpha / (self.rank**0.5 if self.rslora else self.rank)

    @property
    def structure(self) -> tuple[str, bool]:
        """Plans of one structure train in one compiled step."""
        return self.family, self.targets == "all"


class Pictures(NamedTuple):
    """Captioned pictures that one LoRA trains on."""

    pictures: Float[np.ndarray, "b side side 3"]
    tokens: Int[np.ndarray, "b tokens"]


class Training(NamedTuple):
    """What a group trains on; every array has a leading LoRA axis.

    Pictures are padded to a common count: only the first `images` are drawn.
    """

    pictures: Float[Array, "l images side side 3"]
    tokens: Int[Array, "l images tokens"]
    images: Int[Array, " l"]
    learning_rate: Float[Array, " l"]
    scale: Float[Array, " l"]
    steps: Int[Array, " l"]
    key: PRNGKeyArray


class State(NamedTuple):
    """What a step changes, with a leading LoRA axis."""

    weights: Weights
    moments: optax.OptState


def train_loras(
    params: Params,
    plans: Sequence[Plan],
    sets: Sequence[Pictures],
    batch_size: int,
    on_step: Callable[[int], None] = lambda step: None,
) -> list[Weights]:
    """Trains all plans of one structure side by side; each result at its own rank."""
    training, state = prepare(plans, sets), begin(plans)
    family = plans[0].family
    # Not a loop inside jit: XLA runs those on one CPU core, three times slower.
    for step in range(max(plan.steps for plan in plans)):
        on_step(step)
        state, _ = train_step(
            params, state, training, step, family=family, batch_size=batch_size
        )
    return cut(state.weights, plans)


def prepare(plans: Sequence[Plan], sets: Sequence[Pictures]) -> Training:
    """Plans and pictures as arrays, pictures padded to a common count."""
    structures = {plan.structure for plan in plans}
    if len(structures) > 1:
        raise ValueError(f"expected plans of one structure, got {structures}")
    # Sets of nearly one size have one compiled step.
    most = -(-max(len(own.pictures) for own in sets) // PADDED_TO) * PADDED_TO

    def padded(arrays: Sequence[np.ndarray]) -> Array:
        rows = [np.resize(array, (most, *array.shape[1:])) for array in arrays]
        return jnp.stack(rows)

    return Training(
        pictures=padded([own.pictures for own in sets]),
        tokens=padded([own.tokens for own in sets]),
        images=jnp.array([len(own.pictures) for own in sets]),
        learning_rate=jnp.array([plan.learning_rate for plan in plans]),
        scale=jnp.array([plan.scale for plan in plans], jnp.float32),
        steps=jnp.array([plan.steps for plan in plans]),
        key=jnp.stack([jax.random.key(plan.seed) for plan in plans]),
    )


def begin(plans: Sequence[Plan], width: int = MAX_RANK) -> State:
    """Fresh weights, ranks padded to `width`, and the optimiser's moments."""
    weights = stack([init_weights(plan, width) for plan in plans])
    return State(weights, jax.vmap(_ADAM.init)(weights))


def init_weights(plan: Plan, width: int = MAX_RANK) -> Weights:
    """A LoRA before its first step, padded to `width`: its update is zero."""
    rng = np.random.default_rng([SHARED_SEED if plan.shared_down else plan.seed, 99])
    names = TARGETS["all" if plan.targets == "all" else "attention"]
    shapes = {name: SHAPES[name] for name in names}
    weights = FAMILIES[plan.family].init(rng, shapes, width)
    chosen = _chosen(weights, plan)
    return {
        name: zero_beyond(own, plan.rank if name in chosen else 0)
        for name, own in weights.items()
    }


def cut(weights: Weights, plans: Sequence[Plan]) -> list[Weights]:
    """The weights of each LoRA on the host: its own targets at its own rank."""
    host = jax.device_get(weights)
    return [
        {
            name: cut_to({k: array[i] for k, array in host[name].items()}, plan.rank)
            for name in _chosen(host, plan)
        }
        for i, plan in enumerate(plans)
    ]


def pad(weights: Weights, plan: Plan, width: int = MAX_RANK) -> Weights:
    """The opposite of `cut`: one LoRA in the structure that its group trains in."""
    return {
        name: widen(weights[name], width) if name in weights else like
        for name, like in jax.tree.map(np.zeros_like, init_weights(plan, width)).items()
    }


def _chosen(weights: Weights, plan: Plan) -> tuple[str, ...]:
    """The entries of `weights` that the plan trains."""
    return tuple(weights) if plan.family in WHOLE else TARGETS[plan.targets]


def stack(weights: Sequence[Weights]) -> Weights:
    """Several LoRAs as one, with a leading LoRA axis on every array."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *weights)


def changes(
    family: str, weights: Weights, scale: Float[Array, ""] | float
) -> dict[str, Change]:
    """What one LoRA adds at every module, its scale multiplied in."""

    def scaled(change: Change) -> Change:
        if isinstance(change, tuple):
            return change._replace(up=scale * change.up)
        return scale * change

    made: Mapping[str, Change] = FAMILIES[family].change(weights)
    return {name: scaled(change) for name, change in made.items()}


_ADAM = optax.scale_by_adam()


def _train_one(
    params: Params,
    state: State,
    training: Training,
    step: Int[Array, ""] | int,
    family: str,
    batch_size: int,
) -> tuple[State, Float[Array, ""]]:
    """One LoRA's step (no LoRA axis here); after its own length nothing moves."""
    row_key, loss_key = jax.random.split(jax.random.fold_in(training.key, step))
    rows = jax.random.randint(row_key, (batch_size,), 0, training.images)
    pictures, tokens = training.pictures[rows], training.tokens[rows]

    def loss_fn(weights: Weights) -> Float[Array, ""]:
        lora = changes(family, weights, training.scale)
        return flow_loss(params, pictures, tokens, loss_key, lora)

    loss, gradient = jax.value_and_grad(loss_fn)(state.weights)
    update, moments = _ADAM.update(gradient, state.moments)
    rate = training.learning_rate * (step < training.steps)
    weights = jax.tree.map(lambda w, u: w - rate * u, state.weights, update)
    return State(weights, moments), loss


@jax.jit(static_argnames=("family", "batch_size"), donate_argnames="state")
def train_step(
    params: Params,
    state: State,
    training: Training,
    step: Int[Array, ""] | int,
    *,
    family: str,
    batch_size: int,
) -> tuple[State, Float[Array, " l"]]:
    """A step of every LoRA; the base weights have no LoRA axis and are shared."""

    def one(state: State, training: Training) -> tuple[State, Float[Array, ""]]:
        return _train_one(params, state, training, step, family, batch_size)

    return jax.vmap(one)(state, training)


def held_out_losses(
    params: Params,
    family: str,
    weights: Weights,
    scales: Float[Array, " l"],
    sets: Sequence[Pictures],
    seed: int = 0,
) -> Float[np.ndarray, " l"]:
    """Each LoRA's flow loss on pictures it did not train on; scale 0 is the base's."""

    @jax.jit
    @jax.vmap
    def losses(weights: Weights, scale: Array, pictures: Array, tokens: Array) -> Array:
        lora = changes(family, weights, scale)
        return flow_loss(params, pictures, tokens, jax.random.key(seed), lora)

    pictures = jnp.stack([own.pictures for own in sets])
    tokens = jnp.stack([own.tokens for own in sets])
    return np.asarray(losses(weights, scales, pictures, tokens))
