"""Retrieval metrics on vectors and truth, in NumPy.

Every metric is defined once, per triplet or per query, with NaN where a query has no
value; what is reported is the mean over triplets, or over the queries with a value.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int, Real

AT = 10
# In cosine distance; the same for all methods, whatever they were trained with, so that
# their losses can be compared.
MARGIN = 0.3
Metric = Literal[
    "triplet_accuracy", "triplet_loss", "map@10", "mrr", "recall@10", "ndcg@10"
]
METRICS: tuple[Metric, ...] = get_args(Metric)
TRIPLET_METRICS = METRICS[:2]


@dataclass(frozen=True)
class Truth:
    """What is right about `b` LoRAs.

    Attributes:
      relevant: same style; the diagonal is ignored. None where styles are unknown.
      similarity: the teacher's graded likeness, the gain of nDCG; None where unknown.
      triplets: anchor, positive, negative as places.
      styles: the style of each LoRA by a name that all splits share; a LoRA without a
        style has a name of its own. None where no names are at hand.
    """

    relevant: Bool[np.ndarray, "b b"] | None
    similarity: Float[np.ndarray, "b b"] | None
    triplets: Int[np.ndarray, "t 3"]
    styles: tuple[str, ...] | None = None


def measure(
    vectors: Float[np.ndarray, "b e"], truth: Truth, margin: float = MARGIN
) -> dict[str, float]:
    """All metrics that the truth allows for."""
    return measure_cosine(cosines(vectors), truth, margin)


def measure_cosine(
    cosine: Float[np.ndarray, "b b"], truth: Truth, margin: float = MARGIN
) -> dict[str, float]:
    """All metrics that the truth allows for, of a method known by its likeness alone.

    The triplet loss means something only where the likeness is on the cosine's scale.
    """
    anchors = anchor_counts(truth.triplets, len(cosine))
    return {
        metric: mean(values, weights_of(metric, values, anchors))
        for metric, values in query_values(cosine, truth, margin).items()
    }


def query_values(
    cosine: Float[np.ndarray, "b b"], truth: Truth, margin: float = MARGIN
) -> dict[str, Float[np.ndarray, " b"]]:
    """The value of every query for all metrics that the truth allows for."""
    cosine = cosine.astype("f8")
    anchor, count = truth.triplets[:, 0], len(cosine)
    per_triplet = (
        triplet_scores(cosine, truth.triplets),
        triplet_losses(cosine, truth.triplets, margin),
    )
    values = {
        metric: _per_anchor(each, anchor, count)
        for metric, each in zip(TRIPLET_METRICS, per_triplet, strict=True)
    }
    if truth.relevant is not None:
        ranked = ranked_relevance(cosine, truth.relevant)
        values["map@10"] = average_precision(ranked)
        values["mrr"] = reciprocal_rank(ranked)
        values["recall@10"] = recall(ranked)
    if truth.similarity is not None:
        values["ndcg@10"] = ndcg(cosine, truth.similarity)
    return values


def weights_of(
    metric: str, values: Float[np.ndarray, " b"], anchors: Int[np.ndarray, " b"]
) -> Float[np.ndarray, " b"]:
    """What each query counts in the mean: its triplets, or one; zero without a value.

    Args:
      anchors: triplets of each query, as `anchor_counts` gives them.
    """
    weights = anchors.astype("f8") if metric in TRIPLET_METRICS else 1.0
    return np.where(np.isnan(values), 0.0, weights)


def anchor_counts(
    triplets: Int[np.ndarray, "t 3"], count: int
) -> Int[np.ndarray, " {count}"]:
    """How many triplets each of `count` LoRAs is the anchor of."""
    return np.bincount(triplets[:, 0], minlength=count)


def mean(values: Float[np.ndarray, " b"], weights: Float[np.ndarray, " b"]) -> float:
    """Σ w v / Σ w over positive weights; NaN where there is none."""
    counted = weights > 0
    if not counted.any():
        return float("nan")
    return float(np.average(values[counted], weights=weights[counted]))


def cosines(vectors: Float[np.ndarray, "b e"]) -> Float[np.ndarray, "b b"]:
    """Cosine similarity of all pairs."""
    vectors = vectors.astype("f8")
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(norm > 0, norm, 1.0)
    return unit @ unit.T


def triplet_accuracy(
    cosine: Float[np.ndarray, "b b"], triplets: Int[np.ndarray, "t 3"]
) -> float:
    """Share of triplets that are right; a similarity that says nothing scores 0.5."""
    return _plain_mean(triplet_scores(cosine, triplets))


def triplet_scores(
    cosine: Float[np.ndarray, "b b"], triplets: Int[np.ndarray, "t 3"]
) -> Float[np.ndarray, " t"]:
    """One where cos(a, p) > cos(a, n), a half where they tie, zero elsewhere."""
    a, p, n = triplets.T
    return (cosine[a, p] > cosine[a, n]) + 0.5 * (cosine[a, p] == cosine[a, n])


def triplet_losses(
    cosine: Float[np.ndarray, "b b"],
    triplets: Int[np.ndarray, "t 3"],
    margin: float = MARGIN,
) -> Float[np.ndarray, " t"]:
    """relu(cos(a, n) − cos(a, p) + margin)."""
    a, p, n = triplets.T
    return np.maximum(cosine[a, n] - cosine[a, p] + margin, 0.0)


def ranked_relevance(
    cosine: Float[np.ndarray, "b b"], relevant: Bool[np.ndarray, "b b"]
) -> Bool[np.ndarray, "b c"]:
    """Relevance of each query's candidates, nearest first, the query left out."""
    return np.take_along_axis(relevant, _order(cosine), axis=1)


def average_precision(
    ranked: Bool[np.ndarray, "q c"], at: int = AT
) -> Float[np.ndarray, " q"]:
    """AP@k = Σ precision at each relevant rank ≤ k, divided by min(R, k)."""
    top = ranked[:, :at]
    precision = np.cumsum(top, axis=1) / np.arange(1, top.shape[1] + 1)
    return _ratio((precision * top).sum(1), np.minimum(ranked.sum(1), at))


def reciprocal_rank(ranked: Bool[np.ndarray, "q c"]) -> Float[np.ndarray, " q"]:
    """One over the rank of the first relevant candidate."""
    reciprocal = (ranked / np.arange(1, ranked.shape[1] + 1)).max(1, initial=0.0)
    return np.where(reciprocal > 0, reciprocal, np.nan)


def recall(ranked: Bool[np.ndarray, "q c"], at: int = AT) -> Float[np.ndarray, " q"]:
    """Relevant candidates among the first k, divided by min(R, k)."""
    return _ratio(ranked[:, :at].sum(1), np.minimum(ranked.sum(1), at))


def ndcg(
    cosine: Float[np.ndarray, "b b"], similarity: Float[np.ndarray, "b b"], at: int = AT
) -> Float[np.ndarray, " b"]:
    """nDCG@k with the teacher's similarity as gain; unlike (below 0) is no gain.

    NaN for queries to which the teacher finds nothing alike.

    References:
      Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002.
    """
    similarity = np.maximum(similarity, 0).astype("f8")
    gain = np.take_along_axis(similarity, _order(cosine), axis=1)[:, :at]
    ideal = np.take_along_axis(similarity, _order(similarity), axis=1)[:, :at]
    discount = 1.0 / np.log2(np.arange(2, 2 + gain.shape[1]))
    return _ratio((gain * discount).sum(1), (ideal * discount).sum(1))


def map_at(ranked: Bool[np.ndarray, "q c"], at: int = AT) -> float:
    """Mean of `average_precision` over queries with anything relevant."""
    return _plain_mean(average_precision(ranked, at))


def mrr(ranked: Bool[np.ndarray, "q c"]) -> float:
    """Mean of `reciprocal_rank` over queries with anything relevant."""
    return _plain_mean(reciprocal_rank(ranked))


def ndcg_at(
    cosine: Float[np.ndarray, "b b"], similarity: Float[np.ndarray, "b b"], at: int = AT
) -> float:
    """Mean of `ndcg` over queries with anything alike."""
    return _plain_mean(ndcg(cosine, similarity, at))


def _order(similarity: Float[np.ndarray, "b b"]) -> Int[np.ndarray, "b c"]:
    """Candidates of every query, most similar first, without the query itself."""
    similarity = similarity.astype("f8").copy()
    np.fill_diagonal(similarity, -np.inf)
    return np.argsort(-similarity, axis=1, kind="stable")[:, :-1]


def _per_anchor(
    values: Float[np.ndarray, " t"], anchor: Int[np.ndarray, " t"], count: int
) -> Float[np.ndarray, " {count}"]:
    """Mean over the triplets of each anchor."""
    total = np.bincount(anchor, weights=values, minlength=count)
    return _ratio(total, np.bincount(anchor, minlength=count))


def _ratio(
    found: Real[np.ndarray, " q"], possible: Real[np.ndarray, " q"]
) -> Float[np.ndarray, " q"]:
    """The quotient, NaN where nothing was possible."""
    nothing = np.full(len(found), np.nan)
    return np.divide(found, possible, out=nothing, where=possible > 0)


def _plain_mean(values: Float[np.ndarray, " q"]) -> float:
    return mean(values, (~np.isnan(values)).astype("f8"))
