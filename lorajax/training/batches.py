"""Which LoRAs a step sees, and what is known of them."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from lorajax.config.training import LossWeights, TrainingSettings
from lorajax.dataset.mining import triplets_among
from lorajax.dataset.supervision import Supervision
from lorajax.projection.features import Features
from lorajax.training.losses.total import OF_ORDER, OF_STYLES, Truths
from lorajax.training.step import Batch

# Draws that teach nothing are drawn again, up to this often.
TRIES = 20
NO_TRIPLETS = np.zeros((0, 3), np.int64)


def draw_batch(
    features: Features,
    supervision: Supervision,
    train: Int[np.ndarray, " m"],
    settings: TrainingSettings,
    rng: np.random.Generator,
    variants: Features | None = None,
) -> Batch | None:
    """One batch, the same for the same generator; None where nothing can be learned.

    Small training sets are one batch: every LoRA is encoded once per step, and all that
    is learned is learned from the distances among them.

    Args:
      variants: another view of every LoRA, which stands in for a share
        `training.truncation` of the members.
    """
    classes = style_numbers(supervision, train)
    for _ in range(TRIES):
        members = _members(supervision, train, settings, rng)
        triplets = NO_TRIPLETS
        if settings.losses.triplet:
            triplets = triplets_among(
                supervision, members, settings.batch_triplets, settings.mixture, rng
            )
        labels = classes[members]
        if len(triplets) or _teaches(supervision, members, labels, settings):
            chosen = _seen(features, variants, members, settings.truncation, rng)
            truths = Truths(
                triplets=jnp.asarray(triplets, jnp.int32),
                labels=jnp.asarray(labels, jnp.int32),
                similarity=jnp.asarray(_similarity(supervision, members), jnp.float32),
                known=jnp.asarray(supervision.known[members]),
            )
            return Batch(jnp.asarray(chosen.scores), jnp.asarray(chosen.mask), truths)
        if len(members) == len(train):
            return None  # the same members would come again
    return None


def feedable(losses: LossWeights, supervision: Supervision) -> LossWeights:
    """The losses that this supervision can feed, else that of triplets."""
    missing = set() if supervision.has_labels else set(OF_STYLES)
    missing |= set(OF_ORDER) if supervision.similarity is None else set()
    left = losses.model_copy(update=dict.fromkeys(missing, 0.0))
    return left if any(left.model_dump().values()) else LossWeights(triplet=1.0)


def style_numbers(
    supervision: Supervision, train: Int[np.ndarray, " m"]
) -> Int[np.ndarray, " b"]:
    """The number of each LoRA's style among those that are learned from, else −1."""
    known = sorted({supervision.labels[i] for i in train} - {None})
    numbers = {label: number for number, label in enumerate(known)}
    return np.array([numbers.get(label, -1) for label in supervision.labels])


def _seen(
    features: Features,
    variants: Features | None,
    members: Int[np.ndarray, " b"],
    share: float,
    rng: np.random.Generator,
) -> Features:
    """The members' features, each with the probability `share` those of its variant.

    At 0 nothing is drawn: the batches of such runs are what they were without it.
    """
    chosen = features[members]
    if not share:
        return chosen
    if variants is None:
        raise ValueError(f"expected variants for training.truncation={share}, got none")
    others, swapped = variants[members], rng.random(len(members)) < share
    return Features(
        np.where(swapped[:, None, None], others.scores, chosen.scores),
        np.where(swapped[:, None], others.mask, chosen.mask),
    )


def _teaches(
    supervision: Supervision,
    members: Int[np.ndarray, " b"],
    labels: Int[np.ndarray, " b"],
    settings: TrainingSettings,
) -> bool:
    """Whether a loss other than that of triplets finds anything to order."""
    losses = settings.losses
    _, counts = np.unique(labels[labels >= 0], return_counts=True)
    by_style = len(counts) > 1 and counts.max() > 1
    if by_style and any(getattr(losses, name) for name in OF_STYLES):
        return True
    graded = supervision.similarity is not None and supervision.known[members].sum() > 2
    return graded and any(getattr(losses, name) for name in OF_ORDER)


def _similarity(supervision: Supervision, members: Int[np.ndarray, " b"]) -> np.ndarray:
    if supervision.similarity is None:
        return np.zeros((len(members),) * 2)
    return supervision.similarity[np.ix_(members, members)]


def _members(
    supervision: Supervision,
    train: Int[np.ndarray, " m"],
    settings: TrainingSettings,
    rng: np.random.Generator,
) -> np.ndarray:
    size = settings.batch_loras
    if len(train) <= size:
        return train
    if supervision.triplets is not None:
        return _members_of_triplets(supervision.triplets, train, size, rng)
    labels = np.array([supervision.labels[i] or "" for i in train])
    kinds = rng.permutation(np.unique(labels[labels != ""]))
    # At least two styles must meet in a batch, or there is no negative.
    most = max(2, min(settings.per_style, size // 2))
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
