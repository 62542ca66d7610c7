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
# Draws that hold no triplet are drawn again, up to this often.
TRIES = 20


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
    for _ in range(TRIES):
        members = _members(supervision, train, settings.batch_loras, rng)
        triplets = triplets_among(
            supervision, members, settings.batch_triplets, settings.mixture, rng
        )
        if len(triplets):
            chosen = features[members]
            return TripletBatch(
                jnp.asarray(chosen.scores),
                jnp.asarray(chosen.mask),
                jnp.asarray(triplets, jnp.int32),
            )
        if len(members) == len(train):
            return None  # the same members would come again
    return None


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
    # At least two styles must meet in a batch, or there is no negative.
    most = max(2, min(PER_LABEL, size // 2))
    groups = [rng.permutation(train[labels == kind])[:most] for kind in kinds]
    groups = [group for group in groups if len(group) > 1]
    chosen = np.concatenate([*groups, train[:0]])[:size]
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
