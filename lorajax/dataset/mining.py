"""Triplets from a teacher: by the rank of its similarities, never by weights.

For an anchor all others are ranked by the teacher, equal likeness sharing a rank. The
positive is one of the nearest 5 % (and of the most alike, however many they are);
negatives are semi-hard from there to the 25th percentile, easy up to the 60th, too easy
beyond, drawn in a given mixture. A negative is less alike than its positive by a gap.
Where the teacher knows only labels, the most alike are those of the anchor's label.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from lorajax.dataset.supervision import Supervision

# These bounds were committed before the cosine of raw ΔW was first measured on the
# triplets that they make, and are not moved to change what it scores.
POSITIVE_SHARE = 0.05
SEMI_HARD_SHARE = 0.25
EASY_SHARE = 0.60
BAND_EDGES = (POSITIVE_SHARE, SEMI_HARD_SHARE, EASY_SHARE, 1.0)
# The gap between positive and negative, in standard deviations of a likeness.
GAP_IN_NOISE = 2.0
BANDS = 3
EMPTY = np.zeros((0, 3), np.int64)


@dataclass(frozen=True)
class Pairs:
    """All anchors with a positive, and which negatives either admits.

    Attributes:
      anchor, positive: places of the two.
      order: each anchor's others, the most alike first.
      start, stop: range in `order` of semi-hard, easy and too-easy negatives.
    """

    anchor: Int[np.ndarray, " pairs"]
    positive: Int[np.ndarray, " pairs"]
    order: Int[np.ndarray, "b others"]
    start: Int[np.ndarray, "pairs bands"]
    stop: Int[np.ndarray, "pairs bands"]


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
        for a pair gives its weight to the others.
    """
    if supervision.triplets is not None:
        return _known_triplets(supervision.triplets, members, count, rng)
    if supervision.similarity is None:
        return EMPTY
    known = np.flatnonzero(supervision.known[members])
    similarity = supervision.similarity[np.ix_(members[known], members[known])]
    gap = GAP_IN_NOISE * supervision.noise
    return known[mine(similarity, count, mixture, gap, rng)]


def mine(
    similarity: Float[np.ndarray, "b b"],
    count: int,
    mixture: tuple[float, float, float],
    gap: float,
    rng: np.random.Generator,
) -> Int[np.ndarray, "t 3"]:
    """Triplets of a graded teacher, every anchor equally often, with replacement.

    Args:
      gap: least sim(a, p) − sim(a, n); equal ones make no triplet, whatever the gap.
    """
    if len(similarity) < BANDS:
        return EMPTY
    pairs = _pairs(similarity, gap)
    weights = (pairs.stop > pairs.start) * np.asarray(mixture, "f8")
    usable = np.flatnonzero(weights.sum(1) > 0)
    if not len(usable):
        return EMPTY
    first, many = _runs(pairs.anchor[usable])
    anchor = rng.integers(len(first), size=count)
    pair = usable[first[anchor] + rng.integers(many[anchor])]
    band = _draw(weights[pair], rng)
    place = rng.integers(pairs.start[pair, band], pairs.stop[pair, band])
    a = pairs.anchor[pair]
    return np.stack([a, pairs.positive[pair], pairs.order[a, place]], axis=1)


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


def _pairs(similarity: Float[np.ndarray, "b b"], gap: float) -> Pairs:
    below = -similarity.astype("f8")
    np.fill_diagonal(below, np.inf)  # the anchor itself comes last, and is cut off
    order = np.argsort(below, axis=1, kind="stable")[:, :-1]
    anchors, positives, starts, stops = [], [], [], []
    for a, row in enumerate(np.take_along_axis(below, order, axis=1)):
        share = rank_share(row)
        nearest = (share <= POSITIVE_SHARE) | (row == row[0])
        count = int(nearest.sum())
        # In a sorted row negatives that are unlike enough, and bands, are ranges.
        unlike = np.maximum(
            np.searchsorted(row, row[:count] + gap, side="left"),
            np.searchsorted(row, row[:count], side="right"),
        )
        edges = np.searchsorted(share, BAND_EDGES, side="right")
        bands = np.array(list(pairwise(edges)))  # [bands, 2]
        anchors.append(np.full(count, a))
        positives.append(order[a, :count])
        starts.append(np.maximum(unlike[:, None], bands[None, :, 0]))
        stops.append(np.tile(bands[:, 1], (count, 1)))
    return Pairs(
        np.concatenate(anchors),
        np.concatenate(positives),
        order,
        np.concatenate(starts),
        np.concatenate(stops),
    )


def rank_share(row: Float[np.ndarray, " others"]) -> Float[np.ndarray, " others"]:
    """Ranks in a sorted row as shares of all, equal numbers sharing their mean rank."""
    left = np.searchsorted(row, row, side="left")
    right = np.searchsorted(row, row, side="right")
    return (left + right + 1) / 2 / len(row)


def _runs(
    values: Int[np.ndarray, " n"],
) -> tuple[Int[np.ndarray, " runs"], Int[np.ndarray, " runs"]]:
    """Where each run of equal values begins in a sorted array, and its length."""
    _, first, many = np.unique(values, return_index=True, return_counts=True)
    return first, many


def _draw(
    weights: Float[np.ndarray, "t bands"], rng: np.random.Generator
) -> Int[np.ndarray, " t"]:
    """One column per row, with probability in proportion to its weight."""
    cumulative = np.cumsum(weights, axis=1)
    target = rng.random(len(weights)) * cumulative[:, -1]
    return (cumulative <= target[:, None]).sum(1)
