"""Metrics against definitions written out in plain Python."""

import math

import numpy as np
import pytest

from lorajax.evaluation.metrics import (
    METRICS,
    Truth,
    cosines,
    map_at,
    measure,
    measure_cosine,
    mrr,
    ndcg_at,
    ranked_relevance,
    triplet_accuracy,
)

RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((20, 5))
LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 7])
GAIN = RNG.random((20, 20))


def ranked(query: int) -> list[int]:
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    others = [i for i in range(20) if i != query]
    return sorted(others, key=lambda i: -float(unit[i] @ unit[query]))


def plain_retrieval() -> tuple[float, ...]:
    precisions, reciprocals, recalls = [], [], []
    for query in range(20):
        relevant = [LABELS[i] == LABELS[query] for i in ranked(query)]
        if not any(relevant):
            continue
        hits, total = 0, 0.0
        for rank, right in enumerate(relevant[:10], start=1):
            if right:
                hits += 1
                total += hits / rank
        precisions.append(total / min(sum(relevant), 10))
        reciprocals.append(1 / (relevant.index(True) + 1))
        recalls.append(sum(relevant[:10]) / min(sum(relevant), 10))
    return tuple(float(np.mean(v)) for v in (precisions, reciprocals, recalls))


def plain_ndcg() -> float:
    values = []
    for query in range(20):
        order = ranked(query)
        found = sum(
            GAIN[query, i] / math.log2(r + 1) for r, i in enumerate(order[:10], 1)
        )
        best = sorted((GAIN[query, i] for i in order), reverse=True)[:10]
        ideal = sum(gain / math.log2(r + 1) for r, gain in enumerate(best, 1))
        values.append(found / ideal)
    return float(np.mean(values))


def test_metrics_equal_their_definitions() -> None:
    triplets = np.array([[i, (i + 1) % 20, (i + 5) % 20] for i in range(20)])
    relevant = (LABELS[:, None] == LABELS[None, :]) & ~np.eye(20, dtype=bool)
    values = measure(VECTORS, Truth(relevant, GAIN, triplets))
    expected_map, expected_mrr, expected_recall = plain_retrieval()
    nearer = [ranked(a).index(p) < ranked(a).index(n) for a, p, n in triplets]
    np.testing.assert_allclose(values["map@10"], expected_map)
    np.testing.assert_allclose(values["mrr"], expected_mrr)
    np.testing.assert_allclose(values["recall@10"], expected_recall)
    np.testing.assert_allclose(values["ndcg@10"], plain_ndcg())
    assert values["triplet_accuracy"] == np.mean(nearer)


def test_perfect_and_useless_vectors() -> None:
    relevant = (LABELS[:, None] == LABELS[None, :]) & ~np.eye(20, dtype=bool)
    perfect = np.eye(8)[LABELS]
    triplets = np.array([[0, 1, 5], [5, 6, 0]])
    values = measure(perfect, Truth(relevant, relevant.astype(float), triplets))
    assert values.pop("triplet_loss") == 0.0
    assert all(value == 1.0 for value in values.values())
    constant = measure(np.ones((20, 3)), Truth(relevant, None, triplets))
    assert constant["triplet_accuracy"] == 0.5  # saying nothing is chance
    assert constant["triplet_loss"] == pytest.approx(0.3)  # and costs the margin


def test_unlike_is_no_gain() -> None:
    relevant = np.ones((20, 20), dtype=bool)
    signed = Truth(relevant, GAIN - 0.5, np.zeros((0, 3), np.int64))
    clipped = Truth(relevant, np.maximum(GAIN - 0.5, 0), signed.triplets)
    assert measure(VECTORS, signed)["ndcg@10"] == measure(VECTORS, clipped)["ndcg@10"]


def test_triplet_loss_is_the_mean_hinge_over_triplets() -> None:
    triplets = RNG.integers(20, size=(200, 3))
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    losses = [
        max(0.0, float(unit[a] @ unit[n] - unit[a] @ unit[p]) + 0.1)
        for a, p, n in triplets
    ]
    values = measure(VECTORS, Truth(None, None, triplets), margin=0.1)
    np.testing.assert_allclose(values["triplet_loss"], np.mean(losses))


def test_likeness_alone_is_measured_as_vectors_are() -> None:
    relevant = (LABELS[:, None] == LABELS[None, :]) & ~np.eye(20, dtype=bool)
    truth = Truth(relevant, GAIN, RNG.integers(20, size=(300, 3)))
    cosine = cosines(VECTORS)
    values = measure_cosine(cosine, truth)
    assert values == measure(VECTORS, truth) and tuple(values) == METRICS
    ranked = ranked_relevance(cosine, relevant)
    alone = {
        "triplet_accuracy": triplet_accuracy(cosine, truth.triplets),
        "map@10": map_at(ranked),
        "mrr": mrr(ranked),
        "ndcg@10": ndcg_at(cosine, GAIN),
    }
    for metric, value in alone.items():
        assert values[metric] == pytest.approx(value, rel=1e-12), metric


@pytest.mark.parametrize("count", [1, 2])
def test_nothing_to_measure_is_nan(count: int) -> None:
    nothing = np.zeros((count, count))
    truth = Truth(nothing > 0, nothing, np.zeros((0, 3), np.int64))
    values = measure(np.ones((count, 3)), truth)
    assert tuple(values) == METRICS and all(math.isnan(v) for v in values.values())
