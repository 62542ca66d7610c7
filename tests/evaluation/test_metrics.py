"""Metrics against definitions written out in plain Python."""

import math

import numpy as np

from lorajax.config import EvaluationSettings
from lorajax.dataset.supervision import Supervision
from lorajax.evaluation.metrics import Truth, measure
from lorajax.evaluation.results import table, truth_of

RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((20, 5))
LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 7])
GAIN = RNG.random((20, 20))


def ranked(query: int) -> list[int]:
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    others = [i for i in range(20) if i != query]
    return sorted(others, key=lambda i: -float(unit[i] @ unit[query]))


def plain_map_and_mrr() -> tuple[float, float]:
    precisions, reciprocals = [], []
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
    return float(np.mean(precisions)), float(np.mean(reciprocals))


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
    expected_map, expected_mrr = plain_map_and_mrr()
    nearer = [ranked(a).index(p) < ranked(a).index(n) for a, p, n in triplets]
    np.testing.assert_allclose(values["map@10"], expected_map)
    np.testing.assert_allclose(values["mrr"], expected_mrr)
    np.testing.assert_allclose(values["ndcg@10"], plain_ndcg())
    assert values["triplet_accuracy"] == np.mean(nearer)


def test_perfect_and_useless_vectors() -> None:
    relevant = (LABELS[:, None] == LABELS[None, :]) & ~np.eye(20, dtype=bool)
    perfect = np.eye(8)[LABELS]
    triplets = np.array([[0, 1, 5], [5, 6, 0]])
    values = measure(perfect, Truth(relevant, relevant.astype(float), triplets))
    assert all(value == 1.0 for value in values.values())
    constant = measure(np.ones((20, 3)), Truth(relevant, None, triplets))
    assert constant["triplet_accuracy"] == 0.5  # saying nothing is chance


def test_unlike_is_no_gain() -> None:
    relevant = np.ones((20, 20), dtype=bool)
    signed = Truth(relevant, GAIN - 0.5, np.zeros((0, 3), np.int64))
    clipped = Truth(relevant, np.maximum(GAIN - 0.5, 0), signed.triplets)
    assert measure(VECTORS, signed)["ndcg@10"] == measure(VECTORS, clipped)["ndcg@10"]


def test_bare_pictures_have_no_styles_to_retrieve() -> None:
    likeness = np.asarray(np.corrcoef(VECTORS))
    settings, members = EvaluationSettings(triplets=50), np.arange(20)
    labels = tuple(str(label) for label in LABELS)
    for own, metrics in (((None,) * 20, 2), (labels, 4)):
        teacher = Supervision("behaviour", own, likeness, None, "", noise=0.01)
        truth = truth_of(teacher, members, settings, seed=0)
        assert len(measure(VECTORS, truth)) == metrics and len(truth.triplets) == 50


def test_table_has_means_and_spreads() -> None:
    splits = [{"a": {"m": 0.5, "x": math.nan}}, {"a": {"m": 0.7, "x": math.nan}}]
    assert table(splits) == [{"method": "a", "m": {"mean": 0.6, "std": 0.1}}]
