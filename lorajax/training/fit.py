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

from lorajax.config.evaluation import EvaluationSettings
from lorajax.config.training import TrainingSettings
from lorajax.dataset.mining import triplets_among
from lorajax.dataset.splits import Split
from lorajax.dataset.supervision import Supervision
from lorajax.encoder.embedder import TrainedEncoder, params_dict, params_state
from lorajax.errors import DatasetError, LorajaxError
from lorajax.projection.features import Features, normalised
from lorajax.training.batches import draw_batch
from lorajax.training.checkpoints import Checkpoints
from lorajax.training.step import (
    TrainState,
    TripletBatch,
    learning_rate_schedule,
    make_optimiser,
    train_step,
)


class Stopped(LorajaxError):
    """A run that was asked to stop; its state is saved and it can be resumed."""


class Best(NamedTuple):
    """The parameters that validation liked best so far, and what it measured."""

    params: nnx.State
    accuracy: Float[Array, ""]
    step: Int[Array, ""]


@dataclass(frozen=True)
class Task:
    """All that one training needs to know.

    Attributes:
      on_metrics: receives a dictionary per step and per validation.
      should_stop: asked after every step; true ends the training with `Stopped`.
    """

    features: Features
    supervision: Supervision
    split: Split
    training: TrainingSettings
    evaluation: EvaluationSettings
    seed: int
    on_metrics: Callable[[dict[str, Any]], None]
    should_stop: Callable[[], bool]


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
    features = normalised(task.features, encoder.settings.normalise, encoder.lengths)
    task = replace(task, features=features)
    _batch(task, 0)
    params = params_state(encoder.graph, encoder.params)
    optimiser = make_optimiser(task.training, params)
    state = TrainState(params, optimiser.init(params), jnp.zeros((), jnp.int32))
    best = Best(params, jnp.asarray(-1.0), jnp.zeros((), jnp.int32))
    restored = checkpoints.restore((state, best))
    state, best = restored[1] if restored else (state, best)
    best = _run(task, encoder.graph, optimiser, (state, best), checkpoints)
    return replace(encoder, params=params_dict(best.params))


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
        best = _better(best, state, validate(state.params), task)
    for step in range(int(state.step), settings.steps):
        batch, began = _batch(task, step), time.perf_counter()
        state, metrics = step_fn(state, batch, key)
        _report(task, step, metrics, float(np.asarray(schedule(step))), batch, began)
        done = step + 1
        if done % settings.validate_every == 0 or done == settings.steps:
            best = _better(best, state, validate(state.params), task)
        stop = task.should_stop()
        if stop or done % settings.checkpoint_every == 0 or done == settings.steps:
            checkpoints.save(done, (state, best))
        if stop:
            raise Stopped(f"stopped at step {done} of {settings.steps}")
    return best


def _batch(task: Task, step: int) -> TripletBatch:
    """The batch of a step follows from seed and step alone, so a resumed run repeats
    what an uninterrupted one does."""
    rng = np.random.default_rng([task.seed, 3, step])
    batch = draw_batch(
        task.features, task.supervision, task.split.train, task.training, rng
    )
    if batch is None:
        raise DatasetError(
            f"{len(task.split.train)} training LoRAs admit no triplet: expected two "
            f"that are more alike than a third ({task.supervision.note})",
            "label more LoRAs, or raise training.batch_loras",
        )
    return batch


def _validation(task: Task, graph: nnx.GraphDef) -> Callable[[nnx.State], float]:
    """A compiled measure of triplet accuracy on the validation styles."""
    members = task.split.validation
    rng = np.random.default_rng([task.seed, 4])
    triplets = triplets_among(
        task.supervision,
        members,
        task.evaluation.triplets,
        task.evaluation.mixture,
        rng,
    )
    held_out = task.features[members]
    scores, mask = jnp.asarray(held_out.scores), jnp.asarray(held_out.mask)

    @jax.jit
    def accuracy(params: nnx.State) -> Array:
        embeddings = nnx.merge(graph, params)(scores, mask)
        a, p, n = (embeddings[triplets[:, i]] for i in range(3))
        return jnp.mean(jnp.sum(a * p, -1) > jnp.sum(a * n, -1))

    if not len(triplets):
        return lambda params: float("nan")
    return lambda params: float(accuracy(params))


def _better(best: Best, state: TrainState, accuracy: float, task: Task) -> Best:
    """The new state where validation likes it more, or where it measures nothing."""
    task.on_metrics(
        {
            "kind": "validation",
            "step": int(state.step),
            "triplet_accuracy": None if np.isnan(accuracy) else round(accuracy, 5),
        }
    )
    if np.isnan(accuracy) or accuracy > float(best.accuracy):
        return Best(state.params, jnp.asarray(accuracy, jnp.float32), state.step)
    return best


def _report(
    task: Task,
    step: int,
    metrics: dict[str, Array],
    learning_rate: float,
    batch: TripletBatch,
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
