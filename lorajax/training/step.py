"""One optimiser step, pure; the loop compiles it once."""

from collections.abc import Callable
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from lorajax.config.training import TrainingSettings
from lorajax.training.losses.total import Truths, total_loss

# Matrices decay; biases, norms, positions and proxies do not, whatever their shape.
DECAYED = ("kernel", "module_maps")
PROXIES, BLOCKS = "proxies", "blocks"
# Proxies learn faster than the rest, as their paper has it (Kim et al. 2020): there a
# hundred times 1e-4.
PROXY_RATE = 10.0


class Batch(NamedTuple):
    """LoRAs encoded once, and what is known of them."""

    scores: Float[Array, "b n k"]
    mask: Bool[Array, "b n"]
    truths: Truths


class Params(NamedTuple):
    """What is learned: the encoder, and a vector of each style where one is wanted."""

    encoder: nnx.State
    proxies: Float[Array, "c e"]


class TrainState(NamedTuple):
    """What training carries from step to step."""

    params: Params
    optimiser: optax.OptState
    step: Int[Array, ""]


def make_optimiser(
    settings: TrainingSettings, params: Params
) -> optax.GradientTransformation:
    """AdamW, warm-up and cosine decay; weight decay spares vectors and positions."""
    schedule = learning_rate_schedule(settings)

    def decays(path: tuple, leaf: Array) -> bool:
        return any(name in jax.tree_util.keystr(path) for name in DECAYED)

    def within(part: str) -> Callable[[tuple, Array], bool]:
        return lambda path, leaf: part in jax.tree_util.keystr(path)

    decayed, branch, proxies = (
        jax.tree_util.tree_map_with_path(rule, params)
        for rule in (decays, within(BLOCKS), within(PROXIES))
    )
    clip = settings.gradient_clip
    return optax.chain(
        optax.identity() if clip is None else optax.clip_by_global_norm(clip),
        optax.adamw(schedule, weight_decay=settings.weight_decay, mask=decayed),
        optax.masked(optax.scale(settings.branch_rate), branch),
        optax.masked(optax.scale(PROXY_RATE), proxies),
    )


def learning_rate_schedule(settings: TrainingSettings) -> optax.Schedule:
    """Linear warm-up, then cosine to `final_learning_rate` of the peak."""
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=settings.learning_rate,
        warmup_steps=min(round(settings.warmup * settings.steps), settings.steps - 1),
        decay_steps=settings.steps,
        end_value=settings.final_learning_rate * settings.learning_rate,
    )


def train_step(
    graph: nnx.GraphDef,
    optimiser: optax.GradientTransformation,
    settings: TrainingSettings,
    state: TrainState,
    batch: Batch,
    key: Array,
) -> tuple[TrainState, dict[str, Array]]:
    """Gradient of the losses and one update; noise follows from key and step."""
    noise_key, dropout_key = jax.random.split(jax.random.fold_in(key, state.step))
    scores = augmented(batch.scores, settings, noise_key)

    def loss_of(params: Params) -> tuple[Array, dict[str, Array]]:
        rngs = nnx.Rngs(dropout=dropout_key)
        embeddings = nnx.merge(graph, params.encoder)(scores, batch.mask, rngs)
        return total_loss(embeddings, params.proxies, batch.truths, settings)

    (loss, parts), gradient = jax.value_and_grad(loss_of, has_aux=True)(state.params)
    updates, opt_state = optimiser.update(gradient, state.optimiser, state.params)
    params = cast(Params, optax.apply_updates(state.params, updates))
    metrics = {"loss": loss, **parts, "gradient_norm": optax.tree.norm(gradient)}
    return TrainState(params, opt_state, jnp.asarray(state.step + 1)), metrics


def augmented(
    scores: Float[Array, "b n k"], settings: TrainingSettings, key: Array
) -> Float[Array, "b n k"]:
    """Scores that mean the same: louder or quieter LoRAs, and noise.

    The noise is in proportion to each module's length.
    """
    noise_key, scale_key = jax.random.split(key)
    if settings.scale_jitter:
        normal = jax.random.normal(scale_key, (len(scores), 1, 1))
        scores = scores * jnp.exp(settings.scale_jitter * normal)
    if settings.noise:
        size = jnp.sqrt(jnp.mean(scores**2, axis=-1, keepdims=True))
        normal = jax.random.normal(noise_key, scores.shape)
        scores = scores + settings.noise * size * normal
    return scores
