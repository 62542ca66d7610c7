"""Triplets from a teacher: by the rank of its similarities, never by weights.

For an anchor all others are ranked by the teacher. Positives are the LoRAs of the
anchor's label (or, without labels, the nearest 5 %); negatives are semi-hard up to the
25th percentile, easy up to the 60th, too easy beyond, and drawn in a given mixture.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from lorajax.dataset.supervision import Supervision

POSITIVE_SHARE = 0.05
SEMI_HARD_SHARE = 0.25
EASY_SHARE = 0.60
EMPTY = np.zeros((0, 3), np.int64)


@dataclass(frozen=True)
class Candidates:
    """Who may stand where in a triplet, over `b` members.

    Attributes:
      positive: positives of each anchor.
      bands: semi-hard, easy and too-easy negatives of each anchor.
    """

    positive: Bool[np.ndarray, "b b"]
    bands: Bool[np.ndarray, "3 b b"]


def triplets_among(
    supervision: Supervision,
    members: Int[np.ndarray, " m"],
    count: int,
    mixture: tuple[float, float, float],
    rng: np.random.Generator,
) -> Int[np.ndarray, "t 3"]:
    """Triplets whose three LoRAs are all among `members`, as places in `members`.

    Args:
      count: how many to draw, with replacement; fewer come back only if there is none.
      mixture: weights of semi-hard, easy and too-easy negatives; a band that is empty
        for an anchor gives its weight to the others.
    """
    if supervision.triplets is not None:
        return _known_triplets(supervision.triplets, members, count, rng)
    if supervision.similarity is None:
        return EMPTY
    return _mined(_candidates(supervision, members), count, mixture, rng)


def _known_triplets(
    triplets: Int[np.ndarray, "t 3"],
    members: Int[np.ndarray, " m"],
    count: int,
    rng: np.random.Generator,
) -> np.ndarray:
    inside = triplets[np.isin(triplets, members).all(1)]
    if not len(inside):
        return EMPTY
    order = np.argsort(members)
    places = order[np.searchsorted(members, inside, sorter=order)]
    return places[rng.integers(len(places), size=count)]


def _candidates(supervision: Supervision, members: Int[np.ndarray, " m"]) -> Candidates:
    assert supervision.similarity is not None
    similarity = supervision.similarity[np.ix_(members, members)]
    names = np.array([supervision.labels[i] or "" for i in members])
    other = ~np.eye(len(members), dtype=bool)
    share = _rank_share(similarity)
    if (names != "").any():
        same = (names[:, None] == names[None, :]) & (names != "")[:, None]
        positive = same & other
        negative = other & ~same & (names != "")[:, None] & (names != "")[None, :]
    else:
        positive = (share <= POSITIVE_SHARE) & other
        negative = other & ~positive
    edges = (0.0, SEMI_HARD_SHARE, EASY_SHARE, 1.0)
    bands = [
        negative & (share > low) & (share <= high) for low, high in pairwise(edges)
    ]
    return Candidates(positive, np.stack(bands))


def _rank_share(similarity: Float[np.ndarray, "b b"]) -> Float[np.ndarray, "b b"]:
    """Each other member's rank as a share of all, equal likeness sharing one rank."""
    others = len(similarity) - 1
    below = similarity.copy()
    np.fill_diagonal(below, -np.inf)
    # Rank = how many are strictly more alike, plus half of the ties.
    order = np.sort(below, axis=1)
    share = np.empty_like(similarity)
    for i, row in enumerate(below):
        more = len(row) - np.searchsorted(order[i], row, side="right")
        ties = np.searchsorted(order[i], row, side="right") - np.searchsorted(
            order[i], row, side="left"
        )
        share[i] = (more + (ties + 1) / 2) / max(others, 1)
    return np.minimum(share, 1.0)


def _mined(
    candidates: Candidates,
    count: int,
    mixture: tuple[float, float, float],
    rng: np.random.Generator,
) -> np.ndarray:
    """Draws anchor, positive and negative, every anchor equally often."""
    weights = candidates.bands.transpose(1, 0, 2).astype("f8")  # [anchors, bands, b]
    sizes = weights.sum(2, keepdims=True)
    weights *= np.asarray(mixture)[None, :, None] / np.maximum(sizes, 1.0)
    negative = weights.sum(1)
    anchors = np.flatnonzero(candidates.positive.any(1) & (negative.sum(1) > 0))
    if not len(anchors):
        return EMPTY
    a = anchors[rng.integers(len(anchors), size=count)]
    p = _draw(candidates.positive.astype("f8"), a, rng)
    return np.stack([a, p, _draw(negative, a, rng)], axis=1)


def _draw(
    weights: Float[np.ndarray, "b b"],
    rows: Int[np.ndarray, " t"],
    rng: np.random.Generator,
) -> np.ndarray:
    """One column per row, with probability in proportion to its weight."""
    cumulative = np.cumsum(weights, axis=1)[rows]
    target = rng.random(len(rows)) * cumulative[:, -1]
    return (cumulative <= target[:, None]).sum(1)
