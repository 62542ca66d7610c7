"""Retrieval metrics on vectors and truth, in NumPy."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

AT = 10


@dataclass(frozen=True)
class Truth:
    """What is right about `b` LoRAs.

    Attributes:
      relevant: same style; the diagonal is ignored. None where styles are unknown.
      similarity: the teacher's graded likeness, the gain of nDCG; None where unknown.
      triplets: anchor, positive, negative as places.
    """

    relevant: Bool[np.ndarray, "b b"] | None
    similarity: Float[np.ndarray, "b b"] | None
    triplets: Int[np.ndarray, "t 3"]


def measure(vectors: Float[np.ndarray, "b e"], truth: Truth) -> dict[str, float]:
    """All metrics that the truth allows for."""
    cosine = cosines(vectors)
    values = {"triplet_accuracy": triplet_accuracy(cosine, truth.triplets)}
    if truth.relevant is not None:
        ranked = ranked_relevance(cosine, truth.relevant)
        values |= {"map@10": map_at(ranked), "mrr": mrr(ranked)}
    if truth.similarity is not None:
        values["ndcg@10"] = ndcg_at(cosine, truth.similarity)
    return values


def cosines(vectors: Float[np.ndarray, "b e"]) -> Float[np.ndarray, "b b"]:
    """Cosine similarity of all pairs."""
    vectors = vectors.astype("f8")
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(norm > 0, norm, 1.0)
    return unit @ unit.T


def triplet_accuracy(
    cosine: Float[np.ndarray, "b b"], triplets: Int[np.ndarray, "t 3"]
) -> float:
    """Share of triplets with cos(a, p) > cos(a, n), a tie counting half.

    So a similarity that says nothing scores chance, 0.5.
    """
    if not len(triplets):
        return float("nan")
    a, p, n = triplets.T
    right, tied = cosine[a, p] > cosine[a, n], cosine[a, p] == cosine[a, n]
    return float(np.mean(right + 0.5 * tied))


def ranked_relevance(
    cosine: Float[np.ndarray, "b b"], relevant: Bool[np.ndarray, "b b"]
) -> Bool[np.ndarray, "q c"]:
    """Relevance of each query's candidates, nearest first, the query left out.

    Queries without any relevant candidate are left out.
    """
    order = _order(cosine)
    ranked = np.take_along_axis(relevant, order, axis=1)
    return ranked[ranked.any(1)]


def map_at(ranked: Bool[np.ndarray, "q c"], at: int = AT) -> float:
    """Mean of AP@k = Σ precision at each relevant rank ≤ k, divided by min(R, k)."""
    if not len(ranked):
        return float("nan")
    top = ranked[:, :at]
    precision = np.cumsum(top, axis=1) / np.arange(1, top.shape[1] + 1)
    possible = np.minimum(ranked.sum(1), at)
    return float(np.mean((precision * top).sum(1) / possible))


def mrr(ranked: Bool[np.ndarray, "q c"]) -> float:
    """Mean of one over the rank of the first relevant candidate."""
    if not len(ranked):
        return float("nan")
    return float(np.mean(1.0 / (ranked.argmax(1) + 1)))


def ndcg_at(
    cosine: Float[np.ndarray, "b b"], similarity: Float[np.ndarray, "b b"], at: int = AT
) -> float:
    """Mean nDCG@k with the teacher's similarity as gain; unlike (below 0) is no gain.

    Queries to which the teacher finds nothing alike are left out.
    """
    similarity = np.maximum(similarity, 0)
    gain = np.take_along_axis(similarity, _order(cosine), axis=1)
    ideal = np.take_along_axis(similarity, _order(similarity), axis=1)
    discount = 1.0 / np.log2(np.arange(2, 2 + min(at, gain.shape[1])))
    best = (ideal[:, :at] * discount).sum(1)
    scored = best > 0
    if not scored.any():
        return float("nan")
    found = (gain[:, :at] * discount).sum(1)
    return float(np.mean(found[scored] / best[scored]))


def _order(similarity: Float[np.ndarray, "b b"]) -> Int[np.ndarray, "b c"]:
    """Candidates of every query, most similar first, without the query itself."""
    similarity = similarity.astype("f8").copy()
    np.fill_diagonal(similarity, -np.inf)
    return np.argsort(-similarity, axis=1, kind="stable")[:, :-1]
