"""The paper's experiments as truths, and what a split keeps of them."""

from pathlib import Path

import numpy as np
import pytest

from lorajax.errors import CheckpointError
from lorajax.evaluation.experiments import (
    Experiment,
    Judgement,
    by_rankings,
    by_triplets,
    judge,
    judge_cosine,
)
from lorajax.evaluation.judged import (
    Judged,
    cut_to,
    means,
    read_queries,
    table_of,
    write_queries,
)
from lorajax.evaluation.metrics import Truth, cosines

RNG = np.random.default_rng(4)
STYLES = ("a", "a", "a", "b", "b", "b", "c", "c")
SAME = np.equal.outer(STYLES, STYLES) & ~np.eye(8, dtype=bool)
TRIPLETS = np.array([[0, 1, 3], [0, 2, 7], [3, 4, 1], [6, 7, 0]])
TRUTH = Truth(SAME, SAME.astype("f8"), TRIPLETS, STYLES)


def test_a_ranking_is_scored_among_its_candidates_alone() -> None:
    rankings = {0: {1: 2.0, 3: 1.0, 6: 3.0, 2: 4.0}, 5: {4: 1.0, 0: 2.0}}
    judgement = by_rankings(TRUTH, rankings)
    cosine = cosines(RNG.standard_normal((8, 3)))
    found = judgement.queries(cosine)
    for query, ranks in rankings.items():
        order = sorted(ranks, key=lambda c: -cosine[query, c])
        hits = np.array([STYLES[c] == STYLES[query] for c in order])
        precision = np.cumsum(hits) / np.arange(1, len(order) + 1)
        average = (precision * hits).sum() / hits.sum()
        np.testing.assert_allclose(found.values["map@10"][query], average)
        by_rank = sorted(ranks, key=lambda c: ranks[c])
        gain = {c: 1 - place / len(ranks) for place, c in enumerate(by_rank)}
        discount = 1 / np.log2(np.arange(2, 2 + len(ranks)))
        best = sum(gain[c] * d for c, d in zip(by_rank, discount, strict=True))
        dcg = sum(gain[c] * d for c, d in zip(order, discount, strict=True))
        np.testing.assert_allclose(found.values["ndcg@10"][query], dcg / best)
    others = [i for i in range(8) if i not in rankings]
    assert np.isnan(found.values["map@10"][others]).all()
    assert np.isnan(found.values["ndcg@10"][others]).all()


def test_the_true_order_scores_one() -> None:
    ranks = {c: float(c) for c in range(1, 8)}
    cosine = np.eye(8)
    cosine[0, 1:] = np.linspace(0.9, -0.9, 7)
    found = by_rankings(TRUTH, {0: ranks}).queries(cosine)
    assert found.mean("ndcg@10") == pytest.approx(1.0)
    assert found.mean("mrr") == 1.0


def test_triplets_alone_give_no_retrieval() -> None:
    vectors = RNG.standard_normal((8, 5))
    found = judge(vectors, {"tags": by_triplets(TRUTH, TRIPLETS)})["tags"]
    cosine = cosines(vectors)
    right = [cosine[a, p] > cosine[a, n] for a, p, n in TRIPLETS]
    assert found.mean("triplet_accuracy") == pytest.approx(np.mean(right))
    assert set(found.values) == {"triplet_accuracy", "triplet_loss"}


def judged() -> Judged:
    truths: dict[Experiment, Judgement] = {
        "styles": Judgement(TRUTH),
        "tags": by_triplets(TRUTH, TRIPLETS),
    }
    made = {name: RNG.standard_normal((8, 4)) for name in ("one", "two")}
    found: Judged = {name: judge(own, truths) for name, own in made.items()}
    found["control"] = judge_cosine(cosines(RNG.standard_normal((8, 2))), truths)
    return found


def test_a_split_comes_back_from_its_file(tmp_path: Path) -> None:
    before = judged()
    write_queries(tmp_path / "queries.json", before)
    after = read_queries(tmp_path / "queries.json")
    assert list(after) == list(before)
    for experiment in ("styles", "tags"):
        was, now = means(before, experiment), means(after, experiment)
        for method, metrics in was.items():
            for metric, value in metrics.items():
                assert now[method][metric] == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("text", ["", "[]", '{"m": {"styles": {}}}', '{"m": {"x": 1}}'])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "queries.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError):
        read_queries(path)


def test_a_table_compares_with_its_reference() -> None:
    rows = table_of([judged(), judged(), judged()], "styles", "one")
    assert [row["method"] for row in rows] == ["one", "two", "control"]
    assert rows[0]["map@10"]["p_value"] is None
    assert 0 < rows[1]["map@10"]["p_value"] <= 1
    plain = table_of([judged()], "tags", None)
    assert "p_value" not in plain[0]["triplet_accuracy"]


def test_cut_vectors_keep_the_most_that_so_many_numbers_can() -> None:
    learned = RNG.standard_normal((40, 6)) * [9, 5, 3, 1, 0.1, 0.01]
    turned = learned @ np.linalg.qr(RNG.standard_normal((6, 6)))[0]
    cuts = dict(cut_to((1, 3, 6, 64), turned, turned))
    assert sorted(cuts) == [1, 3, 6]
    np.testing.assert_allclose(cosines(cuts[6]), cosines(turned), atol=1e-8)
    lost = np.linalg.norm(turned) ** 2 - np.linalg.norm(cuts[3]) ** 2
    values = np.linalg.svd(turned, compute_uv=False)
    np.testing.assert_allclose(lost, (values[3:] ** 2).sum())
