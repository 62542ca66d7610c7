"""Trains one LoRA, step by step, so that a person can watch, stop and go on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lorajax.errors import ZooError
from lorajax.zoo.base.model import Params
from lorajax.zoo.lora.parametrisations import Weights
from lorajax.zoo.lora.training import cut, prepare, train_step
from lorajax.zoo.own.kept_training import Order, keep, take_up

KEEP_EVERY = 100


class TrainingStopped(ZooError):
    """A training that was asked to stop; what it has learned is kept."""


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
      losses: of every step.
      went_on_from: the step that an earlier run had come to; 0 where there was none.
    """

    weights: Weights
    losses: Float[np.ndarray, " steps"]
    went_on_from: int


# Called with (steps done, losses so far); asked after every step whether to stop.
OnStep = Callable[[int, Float[np.ndarray, " done"]], None]
ShouldStop = Callable[[], bool]


def train_one(
    params: Params,
    order: Order,
    on_step: OnStep = lambda done, losses: None,
    should_stop: ShouldStop = lambda: False,
    keep_every: int = KEEP_EVERY,
) -> Trained:
    """Trains to the end, or keeps what there is and raises `TrainingStopped`.

    The state of the end is kept as well: whoever writes the result removes it.
    """
    plan, training = order.plan, prepare([order.plan], [order.pictures])
    state, kept = take_up(order)
    first, losses = len(kept), np.resize(kept, plan.steps)
    if not first:  # a place that cannot be written to is found at once
        keep(order, state, kept)
    on_step(first, kept)
    for done in range(first + 1, plan.steps + 1):
        state, loss = train_step(
            params,
            state,
            training,
            done - 1,
            family=plan.family,
            batch_size=order.batch_size,
        )
        losses[done - 1] = np.asarray(loss)[0]
        _check_finite(losses[:done], order)
        last = done == plan.steps
        stopping = should_stop() and not last
        if stopping or last or done % keep_every == 0:
            keep(order, state, losses[:done])
        on_step(done, losses[:done])
        if stopping:
            raise TrainingStopped(
                f"stopped after {done} of {plan.steps} steps",
                "the same command goes on from there",
            )
    return Trained(cut(state.weights, [plan])[0], losses, first)


def _check_finite(losses: Float[np.ndarray, " done"], order: Order) -> None:
    if not np.isfinite(losses[-1]):
        order.state_path.unlink(missing_ok=True)
        raise ZooError(
            f"expected a loss that falls, found {losses[-1]} at step {len(losses)}: "
            "the training diverged",
            f"choose a lower --lr than {order.plan.learning_rate:g}",
        )
