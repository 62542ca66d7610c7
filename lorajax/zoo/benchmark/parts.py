"""The parts of a benchmark, drawn from a teacher: splits, triplets, ratings, rankings.

Pure functions of likeness, labels and a generator; `truth` writes what they draw.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from lorajax.config.evaluation import EvaluationSettings
from lorajax.config.training import TrainingSettings
from lorajax.dataset.mining import mine
from lorajax.dataset.splits import Split

# Weights of semi-hard, easy and too-easy negatives.
LEARNING = TrainingSettings().mixture
JUDGING = EvaluationSettings().mixture
RATERS = 5
CANDIDATES = (22, 43)  # of the paper's ranking queries
# Draws of triplets, until enough of them differ.
_ROUNDS = 12


def split_by_style(
    styles: Sequence[str], test: float, validation: float, rng: np.random.Generator
) -> Split:
    """Whole styles held out; at least two for each part, at most a third of all."""
    names = sorted(set(styles))
    order = rng.permutation(len(names))

    def count(share: float) -> int:
        return min(max(2, round(share * len(names))), len(names) // 3)

    first, second = count(test), count(test) + count(validation)
    chosen = (order[second:], order[first:second], order[:first])
    place = np.array([names.index(style) for style in styles])
    return Split(*(np.flatnonzero(np.isin(place, part)) for part in chosen))


def split_within_styles(
    styles: Sequence[str], test: float, rng: np.random.Generator
) -> tuple[Int[np.ndarray, " a"], Int[np.ndarray, " b"]]:
    """LoRAs to learn from and LoRAs to test on, of the same styles.

    A style of several LoRAs gives at least one to the test, and keeps one.
    """
    held: list[int] = []
    kinds = np.array(styles)
    for style in sorted(set(styles)):
        own = rng.permutation(np.flatnonzero(kinds == style))
        count = min(max(1, round(test * len(own))), len(own) - 1)
        held += own[:count].tolist()
    chosen = np.array(sorted(held), np.int64)
    return np.setdiff1d(np.arange(len(styles)), chosen), chosen


def distinct_triplets(
    similarity: Float[np.ndarray, "b b"],
    members: Int[np.ndarray, " m"],
    count: int,
    mixture: tuple[float, float, float],
    gap: float,
    rng: np.random.Generator,
) -> Int[np.ndarray, "t 3"]:
    """At most `count` different triplets among members of whom something is known."""
    members = members[np.diag(similarity)[members] > 0]
    among = similarity[np.ix_(members, members)]
    drawn = np.zeros((0, 3), np.int64)
    for _ in range(_ROUNDS):
        more = mine(among, 2 * count, mixture, gap, rng)
        both = np.concatenate([drawn, more])
        _, first = np.unique(both, axis=0, return_index=True)
        drawn = both[np.sort(first)]
        if len(drawn) >= count or not len(more):
            break
    return members[drawn[:count]]


def rate(
    triplets: Int[np.ndarray, "t 3"],
    similarity: Float[np.ndarray, "b b"],
    noise: float,
    rng: np.random.Generator,
) -> Int[np.ndarray, "t 3"]:
    """The triplets as the majority of simulated raters would order them.

    Each rater sees both likenesses with an error of the standard deviation `noise`.
    """
    a, p, n = triplets.T
    seen = np.stack([similarity[a, p], similarity[a, n]])  # [2, t]
    errors = rng.normal(0, noise, (RATERS, *seen.shape))
    first, second = np.moveaxis(seen + errors, 1, 0)  # [raters, t] each
    agreed = (first > second).sum(0) > RATERS / 2
    return np.where(agreed[:, None], triplets, triplets[:, [0, 2, 1]])


def rank_candidates(
    similarity: Float[np.ndarray, "b b"],
    members: Int[np.ndarray, " m"],
    queries: int,
    rng: np.random.Generator,
) -> dict[int, Int[np.ndarray, " candidates"]]:
    """Query → candidates, the most alike first, spread over the teacher's ranking."""
    members = members[np.diag(similarity)[members] > 0]
    ranked: dict[int, np.ndarray] = {}
    for query in rng.permutation(members)[:queries]:
        others = members[members != query]
        order = others[np.argsort(-similarity[query, others], kind="stable")]
        count = min(int(rng.integers(CANDIDATES[0], CANDIDATES[1] + 1)), len(order))
        # One candidate from each of `count` equal stretches of the ranking.
        edges = np.linspace(0, len(order), count + 1).astype(int)
        ranked[int(query)] = order[rng.integers(edges[:-1], edges[1:])]
    return ranked
