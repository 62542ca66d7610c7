"""Trains many LoRAs at once: one compiled step for all, whatever their recipes.

Receives recipes, returns factors. Every LoRA has its own pictures, seed, rank,
learning rate and length; ranks are padded to a common width. A padded row of `down`
and column of `up` are zero and stay zero, because each one's gradient is a product
with the other.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from lorajax.naming.zoo import MODULES
from lorajax.zoo.model import Factors, Lora, Params, flow_loss
from lorajax.zoo.recipes import IMAGES, MAX_RANK, Recipe
from lorajax.zoo.scenes import captions, draw, sample_scenes, tokenise
from lorajax.zoo.styles import apply_style

SHARED_SEED = 42
TARGETS = tuple(module for module in MODULES if ".attentions." in module.name)


class Training(NamedTuple):
    """What each LoRA of a group trains on; every array has a leading LoRA axis.

    Pictures are padded to a common count: only the first `images` are drawn.
    """

    pictures: Float[Array, "l images side side 3"]
    tokens: Int[Array, "l images tokens"]
    images: Int[Array, " l"]
    learning_rate: Float[Array, " l"]
    steps: Int[Array, " l"]
    key: PRNGKeyArray


def train_loras(
    params: Params,
    recipes: Sequence[Recipe],
    batch_size: int,
    on_step: Callable[[int, int], None] = lambda step, steps: None,
) -> list[dict[str, Factors]]:
    """Trains all recipes side by side; returns each one's factors at its own rank."""
    training = prepare(recipes)
    lora = stack([init_lora(recipe) for recipe in recipes])
    moments = jax.vmap(_ADAM.init)(lora.factors)
    steps = max(recipe.steps for recipe in recipes)
    # Not a loop inside jit: XLA runs those on one CPU core, three times slower.
    for step in range(steps):
        lora, moments = _train_step(
            params, lora, moments, training, step, batch_size=batch_size
        )
        on_step(step + 1, steps)
    return unstack(lora, recipes)


def prepare(recipes: Sequence[Recipe]) -> Training:
    """Draws every LoRA's training pictures in its style."""
    sets = [training_pictures(recipe) for recipe in recipes]
    return Training(
        pictures=jnp.stack([pictures for pictures, _ in sets]),
        tokens=jnp.stack([tokens for _, tokens in sets]),
        images=jnp.array([recipe.images for recipe in recipes]),
        learning_rate=jnp.array([recipe.learning_rate for recipe in recipes]),
        steps=jnp.array([recipe.steps for recipe in recipes]),
        key=jnp.stack([jax.random.key(recipe.seed) for recipe in recipes]),
    )


def training_pictures(
    recipe: Recipe, count: int = IMAGES[1], salt: int = 0
) -> tuple[Float[np.ndarray, "b side side 3"], Int[np.ndarray, "b tokens"]]:
    """Scenes of the recipe's content in its style; another salt, other scenes."""
    rng = np.random.default_rng([recipe.seed, salt])
    scenes = sample_scenes(rng, count, recipe.content)
    return apply_style(recipe.style, draw(scenes)), tokenise(captions(scenes))


def init_lora(recipe: Recipe) -> Lora:
    """`up` zero, `down` uniform as trainers draw it; rows beyond the rank are zero."""
    seed = SHARED_SEED if recipe.shared_down else recipe.seed
    rng = np.random.default_rng([seed, 99])
    factors = {}
    for module in TARGETS:
        fan_in = int(np.prod(module.shape[1:]))
        down = rng.uniform(-1, 1, (MAX_RANK, *module.shape[1:])) / np.sqrt(fan_in)
        down[recipe.rank :] = 0
        up = np.zeros((module.shape[0], MAX_RANK))
        factors[module.name] = Factors(_single(down), _single(up))
    return Lora(factors, _single(np.array(recipe.scale)))


def stack(loras: Sequence[Lora]) -> Lora:
    """Several LoRAs as one, with a leading LoRA axis on every array."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *loras)


def unstack(lora: Lora, recipes: Sequence[Recipe]) -> list[dict[str, Factors]]:
    """The factors of each LoRA on the host, cut to its own rank."""
    host = jax.device_get(lora.factors)
    return [
        {
            name: Factors(down[i, : recipe.rank], up[i, :, : recipe.rank])
            for name, (down, up) in host.items()
        }
        for i, recipe in enumerate(recipes)
    ]


def pad(factors: dict[str, Factors], scale: float) -> Lora:
    """A LoRA of any rank up to the common width, in training form."""

    def widen(array: Array | np.ndarray, axis: int) -> Array:
        wide = [(0, 0)] * array.ndim
        wide[axis] = (0, MAX_RANK - array.shape[axis])
        return _single(np.pad(array, wide))

    padded = {
        name: Factors(widen(down, 0), widen(up, 1))
        for name, (down, up) in factors.items()
    }
    return Lora(padded, _single(np.array(scale)))


def held_out_losses(
    params: Params, recipes: Sequence[Recipe], lora: Lora | None, count: int = 64
) -> Float[np.ndarray, " l"]:
    """Each LoRA's flow loss on new scenes in its style; without `lora`, the base's."""
    sets = [training_pictures(recipe, count, salt=1) for recipe in recipes]
    pictures = jnp.stack([pictures for pictures, _ in sets])
    tokens = jnp.stack([tokens for _, tokens in sets])
    keys = jnp.stack([jax.random.key(recipe.seed + 1) for recipe in recipes])
    axes = (None, 0, 0, 0, None if lora is None else 0)
    losses = jax.jit(jax.vmap(flow_loss, axes))(params, pictures, tokens, keys, lora)
    return np.asarray(losses)


_ADAM = optax.scale_by_adam()


def _train_one(
    params: Params,
    lora: Lora,
    moments: optax.OptState,
    training: Training,
    step: Int[Array, ""] | int,
    batch_size: int,
) -> tuple[Lora, optax.OptState]:
    """One LoRA's step (no LoRA axis here); after its own length nothing moves."""
    row_key, loss_key = jax.random.split(jax.random.fold_in(training.key, step))
    rows = jax.random.randint(row_key, (batch_size,), 0, training.images)
    pictures, tokens = training.pictures[rows], training.tokens[rows]

    def loss(factors: dict[str, Factors]) -> Float[Array, ""]:
        return flow_loss(params, pictures, tokens, loss_key, Lora(factors, lora.scale))

    update, moments = _ADAM.update(jax.grad(loss)(lora.factors), moments)
    rate = training.learning_rate * (step < training.steps)
    factors = jax.tree.map(lambda w, u: w - rate * u, lora.factors, update)
    return Lora(factors, lora.scale), moments


@jax.jit(static_argnames="batch_size", donate_argnames=("lora", "moments"))
def _train_step(
    params: Params,
    lora: Lora,
    moments: optax.OptState,
    training: Training,
    step: Int[Array, ""] | int,
    *,
    batch_size: int,
) -> tuple[Lora, optax.OptState]:
    """A step of every LoRA; the base weights have no LoRA axis and are shared."""
    one = jax.vmap(_train_one, in_axes=(None, 0, 0, 0, None, None))
    return one(params, lora, moments, training, step, batch_size)


def _single(array: Array | np.ndarray) -> Array:
    return jnp.asarray(array, jnp.float32)
