"""One optimiser step, pure; the loop compiles it once."""

from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from lorajax.config.training import TrainingSettings
from lorajax.training.losses import cosine_triplet_loss

# Matrices decay; biases, norms and positions do not, whatever their shape.
DECAYED = ("kernel", "module_maps")


class TripletBatch(NamedTuple):
    """LoRAs encoded once, and triplets among them."""

    scores: Float[Array, "b n k"]
    mask: Bool[Array, "b n"]
    triplets: Int[Array, "t 3"]


class TrainState(NamedTuple):
    """What training carries from step to step."""

    params: nnx.State
    optimiser: optax.OptState
    step: Int[Array, ""]


def make_optimiser(
    settings: TrainingSettings, params: nnx.State
) -> optax.GradientTransformation:
    """AdamW, warm-up and cosine decay; weight decay spares vectors and positions."""
    schedule = learning_rate_schedule(settings)

    def decays(path: tuple, leaf: Array) -> bool:
        return any(name in jax.tree_util.keystr(path) for name in DECAYED)

    def in_branch(path: tuple, leaf: Array) -> bool:
        return "blocks" in jax.tree_util.keystr(path)

    decayed, branch = (
        jax.tree_util.tree_map_with_path(rule, params) for rule in (decays, in_branch)
    )
    clip = settings.gradient_clip
    return optax.chain(
        optax.identity() if clip is None else optax.clip_by_global_norm(clip),
        optax.adamw(schedule, weight_decay=settings.weight_decay, mask=decayed),
        optax.masked(optax.scale(settings.branch_rate), branch),
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
    batch: TripletBatch,
    key: Array,
) -> tuple[TrainState, dict[str, Array]]:
    """Gradient of the triplet loss and one update; noise follows from key and step."""

    def loss_of(params: nnx.State) -> tuple[Array, Array]:
        rngs = nnx.Rngs(dropout=jax.random.fold_in(key, state.step))
        embeddings = nnx.merge(graph, params)(batch.scores, batch.mask, rngs)
        return cosine_triplet_loss(
            embeddings, batch.triplets, settings.margin, settings.reduction
        )

    (loss, accuracy), gradient = jax.value_and_grad(loss_of, has_aux=True)(state.params)
    updates, opt_state = optimiser.update(gradient, state.optimiser, state.params)
    params = cast(nnx.State, optax.apply_updates(state.params, updates))
    metrics = {
        "loss": loss,
        "accuracy": accuracy,
        "gradient_norm": optax.tree.norm(gradient),
    }
    return TrainState(params, opt_state, jnp.asarray(state.step + 1)), metrics
