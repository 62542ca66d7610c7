"""Trains one encoder on one split, keeping the state that validation likes best."""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int

from lorajax.config.training import TrainingSettings
from lorajax.dataset.splits import Split
from lorajax.dataset.supervision import Supervision
from lorajax.encoder.embedder import TrainedEncoder, params_dict, params_state
from lorajax.errors import DatasetError, LorajaxError
from lorajax.projection.features import Features, normalised
from lorajax.training.batches import draw_batch, style_numbers
from lorajax.training.checkpoints import Checkpoints
from lorajax.training.step import (
    Batch,
    Params,
    TrainState,
    learning_rate_schedule,
    make_optimiser,
    train_step,
)


class Stopped(LorajaxError):
    """A run that was asked to stop; its state is saved and it can be resumed."""


class Best(NamedTuple):
    """The encoder that validation liked best so far, and how much."""

    encoder: nnx.State
    score: Float[Array, ""]
    step: Int[Array, ""]


@dataclass(frozen=True)
class Task:
    """All that one training needs to know.

    Attributes:
      measure: metrics of the validation LoRAs' vectors; NaN where one has no truth.
      on_metrics: receives a dictionary per step and per validation.
      should_stop: asked after every step; true ends the training with `Stopped`.
      variants: of every LoRA another view, which `training.truncation` asks for.
    """

    features: Features
    supervision: Supervision
    split: Split
    training: TrainingSettings
    seed: int
    measure: Callable[[np.ndarray], dict[str, float]]
    on_metrics: Callable[[dict[str, Any]], None]
    should_stop: Callable[[], bool]
    variants: Features | None = None


def fit(
    task: Task, encoder: TrainedEncoder, checkpoints: Checkpoints
) -> TrainedEncoder:
    """Trains from `encoder`, or from the newest checkpoint where there is one.

    Step 0 takes part in the selection, so that validation never likes the result less
    than the start.

    Returns:
      The encoder with the best validation triplet accuracy (the last one where nothing
      is held out).

    Raises:
      DatasetError: where the training LoRAs admit no triplet at all.
      Stopped: after the state was saved.
    """
    start = params_state(encoder.graph, encoder.params)
    params = Params(start, _proxies(task, encoder))
    task = _normalised(task, encoder)
    _batch(task, 0)
    optimiser = make_optimiser(task.training, params)
    state = TrainState(params, optimiser.init(params), jnp.zeros((), jnp.int32))
    best = Best(start, jnp.asarray(-1.0), jnp.zeros((), jnp.int32))
    restored = checkpoints.restore((state, best))
    state, best = restored[1] if restored else (state, best)
    best = _run(task, encoder.graph, optimiser, (state, best), checkpoints)
    return replace(encoder, params=params_dict(best.encoder))


def _normalised(task: Task, encoder: TrainedEncoder) -> Task:
    how, lengths = encoder.settings.normalise, encoder.lengths
    variants = task.variants
    if variants is not None:
        variants = normalised(variants, how, lengths)
    features = normalised(task.features, how, lengths)
    return replace(task, features=features, variants=variants)


def _proxies(task: Task, encoder: TrainedEncoder) -> Float[Array, "c e"]:
    """A vector of every training style, where a loss asks for them.

    They begin at the mean of their LoRAs before training: random ones would pull what
    starts at a good geometry apart.
    """
    if not task.training.losses.proxy_anchor:
        # What is empty cannot be saved.
        return jnp.zeros((1, encoder.settings.width))
    train = task.split.train
    styles = style_numbers(task.supervision, train)[train]
    vectors = encoder.embed(task.features[train[styles >= 0]])
    proxies = np.zeros((styles.max(initial=0) + 1, vectors.shape[1]), "f4")
    np.add.at(proxies, styles[styles >= 0], vectors)
    return jnp.asarray(proxies)


def _run(
    task: Task,
    graph: nnx.GraphDef,
    optimiser: optax.GradientTransformation,
    start: tuple[TrainState, Best],
    checkpoints: Checkpoints,
) -> Best:
    settings = task.training
    step_fn = jax.jit(functools.partial(train_step, graph, optimiser, settings))
    validate = _validation(task, graph)
    key = jax.random.fold_in(jax.random.key(task.seed), 2)
    schedule = learning_rate_schedule(settings)
    state, best = start
    if int(state.step) == 0:
        best = _better(best, state, validate(state.params.encoder), task)
    for step in range(int(state.step), settings.steps):
        batch, began = _batch(task, step), time.perf_counter()
        state, metrics = step_fn(state, batch, key)
        _report(task, step, metrics, float(np.asarray(schedule(step))), batch, began)
        done = step + 1
        if done % settings.validate_every == 0 or done == settings.steps:
            best = _better(best, state, validate(state.params.encoder), task)
        stop = task.should_stop()
        if stop or done % settings.checkpoint_every == 0 or done == settings.steps:
            checkpoints.save(done, (state, best))
        if stop:
            raise Stopped(f"stopped at step {done} of {settings.steps}")
    return best


def _batch(task: Task, step: int) -> Batch:
    """The batch of a step follows from seed and step alone, so a resumed run repeats
    what an uninterrupted one does."""
    rng = np.random.default_rng([task.seed, 3, step])
    batch = draw_batch(
        task.features,
        task.supervision,
        task.split.train,
        task.training,
        rng,
        task.variants,
    )
    if batch is None:
        raise DatasetError(
            f"{len(task.split.train)} training LoRAs give the losses nothing to order: "
            f"expected two that are more alike than a third ({task.supervision.note})",
            "label more LoRAs, or raise training.batch_loras",
        )
    return batch


def _validation(
    task: Task, graph: nnx.GraphDef
) -> Callable[[nnx.State], dict[str, float]]:
    """A compiled embedding of the validation LoRAs, and what it measures."""
    held_out = task.features[task.split.validation]
    if not len(held_out):
        return lambda encoder: dict.fromkeys(task.training.select, float("nan"))
    scores, mask = jnp.asarray(held_out.scores), jnp.asarray(held_out.mask)
    embed = jax.jit(lambda encoder: nnx.merge(graph, encoder)(scores, mask))
    return lambda encoder: task.measure(np.asarray(embed(encoder)))


def _better(
    best: Best, state: TrainState, measured: dict[str, float], task: Task
) -> Best:
    """The new state where validation likes it more, or where it measures nothing."""
    chosen = [measured.get(name, float("nan")) for name in task.training.select]
    chosen = [value for value in chosen if not np.isnan(value)]
    score = float(np.mean(chosen)) if chosen else float("nan")
    rounded = {name: round(value, 5) for name, value in measured.items()}
    task.on_metrics({"kind": "validation", "step": int(state.step), **rounded})
    if np.isnan(score) or score > float(best.score):
        return Best(state.params.encoder, jnp.asarray(score, jnp.float32), state.step)
    return best


def _report(
    task: Task,
    step: int,
    metrics: dict[str, Array],
    learning_rate: float,
    batch: Batch,
    began: float,
) -> None:
    values = {name: round(float(value), 6) for name, value in metrics.items()}
    seconds = time.perf_counter() - began
    task.on_metrics(
        {
            "kind": "train",
            "step": step + 1,
            **values,
            "lr": learning_rate,
            "loras_per_s": round(len(batch.mask) / seconds, 1),
        }
    )
