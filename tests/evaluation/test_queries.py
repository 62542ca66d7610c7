"""Values per query: loops as oracle, their means as reported, and their JSON."""

import json
import math
from typing import Any

import numpy as np
import pytest

from lorajax.errors import CheckpointError
from lorajax.evaluation.metrics import METRICS, Truth, cosines, measure
from lorajax.evaluation.queries import Queries, from_json, per_query, to_json

RNG = np.random.default_rng(1)
COUNT = 24
# Style 5 has one LoRA, so that its query has nothing to find.
STYLES = np.array([*np.repeat(np.arange(5), [2, 3, 4, 2, 12]), 5])
NAMES = tuple("abcdef"[style] for style in STYLES)
VECTORS = np.eye(6)[STYLES] + RNG.standard_normal((COUNT, 6))
COSINE = cosines(VECTORS)
RELEVANT = (STYLES[:, None] == STYLES[None, :]) & ~np.eye(COUNT, dtype=bool)
GAIN = RNG.random((COUNT, COUNT)) - 0.3
GAIN[7] = -0.1  # nothing is like LoRA 7
# Anchors unequally often, some never.
TRIPLETS = np.stack(
    [RNG.integers(10, size=90) ** 2 % COUNT, *RNG.integers(COUNT, size=(2, 90))], 1
)
TRUTH = Truth(RELEVANT, GAIN, TRIPLETS, NAMES)
MARGIN = 0.2


def plain(query: int) -> dict[str, float]:
    """All values of one query, in loops."""
    own = [(p, n) for a, p, n in TRIPLETS if a == query]
    row = COSINE[query]
    right = [1.0 if row[p] > row[n] else 0.5 * (row[p] == row[n]) for p, n in own]
    losses = [max(0.0, row[n] - row[p] + MARGIN) for p, n in own]
    order = sorted((i for i in range(COUNT) if i != query), key=lambda i: -row[i])
    hits = [bool(RELEVANT[query, i]) for i in order]
    possible = min(sum(hits), 10)
    precisions = [sum(hits[: r + 1]) / (r + 1) for r in range(10) if hits[r]]
    gains = [max(GAIN[query, i], 0.0) for i in order]
    best = dcg(sorted(gains, reverse=True))
    return {
        "triplet_accuracy": float(np.mean(right)) if own else math.nan,
        "triplet_loss": float(np.mean(losses)) if own else math.nan,
        "map@10": sum(precisions) / possible if possible else math.nan,
        "mrr": 1 / (hits.index(True) + 1) if possible else math.nan,
        "recall@10": sum(hits[:10]) / possible if possible else math.nan,
        "ndcg@10": dcg(gains) / best if best else math.nan,
    }


def dcg(gains: list[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains[:10], 1))


def test_values_equal_their_definitions() -> None:
    queries = per_query(COSINE, TRUTH, MARGIN)
    assert tuple(queries.values) == METRICS and queries.styles == NAMES
    for query in range(COUNT):
        for metric, expected in plain(query).items():
            np.testing.assert_allclose(queries.values[metric][query], expected)
    missing = {m: int(np.isnan(v).sum()) for m, v in queries.values.items()}
    assert missing["mrr"] == missing["ndcg@10"] == 1 and missing["triplet_loss"] > 5


def test_means_are_the_ones_that_are_reported() -> None:
    queries = per_query(COSINE, TRUTH, MARGIN)
    for metric, value in measure(VECTORS, TRUTH, MARGIN).items():
        assert queries.mean(metric) == value
        weights = queries.weights(metric)
        assert (weights == 0).tolist() == np.isnan(queries.values[metric]).tolist()
    a, p, n = TRIPLETS.T
    right = (COSINE[a, p] > COSINE[a, n]) + 0.5 * (COSINE[a, p] == COSINE[a, n])
    assert queries.mean("triplet_accuracy") == pytest.approx(right.mean())


def test_without_names_styles_are_told_apart_by_relevance() -> None:
    named = per_query(COSINE, Truth(RELEVANT, None, TRIPLETS)).styles
    assert [[a == b for b in named] for a in named] == [
        [a == b for b in STYLES] for a in STYLES
    ]
    alone = per_query(COSINE, Truth(None, None, TRIPLETS))
    assert len(set(alone.styles)) == COUNT
    assert tuple(alone.values) == ("triplet_accuracy", "triplet_loss")


def test_json_round_trip_keeps_five_digits() -> None:
    queries = per_query(COSINE, TRUTH)
    text = json.dumps(to_json(queries), allow_nan=False)
    read = from_json(json.loads(text))
    assert read.styles == queries.styles and to_json(read) == to_json(queries)
    np.testing.assert_array_equal(read.anchors, queries.anchors)
    for metric, values in queries.values.items():
        np.testing.assert_allclose(read.values[metric], values, rtol=0, atol=5.1e-6)
        assert read.mean(metric) == pytest.approx(queries.mean(metric), abs=1e-5)


def test_nobody_was_held_out() -> None:
    nothing = Queries((), np.zeros(0, np.int64), {"mrr": np.zeros(0)})
    read = from_json(to_json(nothing))
    assert read.styles == () and math.isnan(read.mean("mrr"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"styles": None}, "styles: Input should be a valid list"),
        ({"styles": [1, 2]}, "styles.0: Input should be a valid string"),
        ({"anchors": [1, -1]}, "anchors.1: .* greater than or equal to 0"),
        ({"anchors": [1, 0.5]}, "anchors.1: Input should be a valid integer"),
        ({"anchors": [1]}, "expected 2 numbers in anchors, found 1"),
        ({"values": {"mrr": [0.5]}}, "expected 2 numbers in mrr, found 1"),
        ({"values": {"mrr": [0.5, True]}}, "values.mrr.1: .* valid number"),
        ({"values": {"mrr": [0.5, "1"]}}, "values.mrr.1: .* valid number"),
        ({"values": {"mrr": [0.5, math.inf]}}, "values.mrr.1: .* finite number"),
        ({"values": {"mrr": [0.5, math.nan]}}, "values.mrr.1: .* finite number"),
        ({"values": {"speed": [1.0, 1.0]}}, "values.speed.*: Input should be"),
        ({"values": {"triplet_loss": [1.0, 1.0]}}, "of the anchors of triplets alone"),
        ({"more": 1}, "more: Extra inputs are not permitted"),
    ],
)
def test_json_that_was_not_written_here_is_refused(
    change: dict[str, Any], message: str
) -> None:
    good = {"styles": ["a", "b"], "anchors": [3, 0], "values": {"mrr": [0.5, None]}}
    assert from_json(good).mean("mrr") == 0.5
    with pytest.raises(CheckpointError, match=f"values per query: .*{message}"):
        from_json(good | change)


@pytest.mark.parametrize("document", [None, [], "text", {}])
def test_other_documents_are_refused(document: object) -> None:
    with pytest.raises(CheckpointError, match="values per query: "):
        from_json(document)
