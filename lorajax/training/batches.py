"""Which LoRAs and which triplets a step sees."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from lorajax.config.training import TrainingSettings
from lorajax.dataset.mining import triplets_among
from lorajax.dataset.supervision import Supervision
from lorajax.projection.features import Features
from lorajax.training.step import TripletBatch

# A batch takes up to this many LoRAs of a style, so that positives meet.
PER_LABEL = 8


def draw_batch(
    features: Features,
    supervision: Supervision,
    train: Int[np.ndarray, " m"],
    settings: TrainingSettings,
    rng: np.random.Generator,
) -> TripletBatch | None:
    """One batch, the same for the same generator; None where no triplet can be drawn.

    Small training sets are one batch: every LoRA is encoded once per step and all
    triplets are among them.
    """
    members = _members(supervision, train, settings.batch_loras, rng)
    triplets = triplets_among(
        supervision, members, settings.batch_triplets, settings.mixture, rng
    )
    if not len(triplets):
        return None
    chosen = features[members]
    return TripletBatch(
        jnp.asarray(chosen.scores),
        jnp.asarray(chosen.mask),
        jnp.asarray(triplets, jnp.int32),
    )


def _members(
    supervision: Supervision,
    train: Int[np.ndarray, " m"],
    size: int,
    rng: np.random.Generator,
) -> np.ndarray:
    if len(train) <= size:
        return train
    if supervision.triplets is not None:
        return _members_of_triplets(supervision.triplets, train, size, rng)
    labels = np.array([supervision.labels[i] or "" for i in train])
    kinds = rng.permutation(np.unique(labels[labels != ""]))
    groups = [rng.permutation(train[labels == kind])[:PER_LABEL] for kind in kinds]
    chosen = np.concatenate(groups)[:size]
    rest = rng.permutation(np.setdiff1d(train, chosen))
    return np.concatenate([chosen, rest])[:size]


def _members_of_triplets(
    triplets: Int[np.ndarray, "t 3"],
    train: Int[np.ndarray, " m"],
    size: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """LoRAs of random triplets, until the batch is full."""
    inside = triplets[np.isin(triplets, train).all(1)]
    order = rng.permutation(inside).reshape(-1)
    _, first = np.unique(order, return_index=True)
    chosen = order[np.sort(first)][:size]
    rest = rng.permutation(np.setdiff1d(train, chosen))
    return np.concatenate([chosen, rest])[:size]
