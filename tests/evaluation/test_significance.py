"""Tests of significance, on data whose truth is known."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, kstest

from lorajax.errors import CheckpointError
from lorajax.evaluation.queries import Queries
from lorajax.evaluation.significance import (
    compare,
    holm,
    interval,
    pair,
    sign_flip,
)

METRIC = "map@10"


def queries(styles: Sequence[str], values: np.ndarray, metric: str = METRIC) -> Queries:
    return Queries(tuple(styles), np.zeros(len(values), np.int64), {metric: values})


def study(
    rng: np.random.Generator,
    *,
    styles: int,
    seeds: int,
    held_out: int,
    truth: float = 0.0,
    of_style: float = 0.0,
    of_seed: float = 0.0,
    of_query: float = 0.0,
) -> tuple[list[Queries], list[Queries]]:
    """Two methods whose difference is truth + luck of style, of seed and of query.

    Every seed holds out some of the same styles, each with 3 to 6 LoRAs.
    """
    style_luck = rng.normal(0, of_style, styles)
    members = rng.integers(3, 7, styles)
    a, b = [], []
    for _ in range(seeds):
        chosen = rng.choice(styles, held_out, replace=False)
        of = np.repeat(chosen, members[chosen])
        base = rng.random(len(of))
        lifted = base + truth + style_luck[of] + rng.normal(0, of_seed)
        names = [f"style {i}" for i in of]
        a.append(queries(names, lifted + rng.normal(0, of_query, len(of))))
        b.append(queries(names, base))
    return a, b


def each_alone(own: Sequence[Queries]) -> list[Queries]:
    """The same values, as if every query were a style: the naive test."""
    return [
        queries([f"{seed} {i}" for i in range(len(q.styles))], q.values[METRIC])
        for seed, q in enumerate(own)
    ]


def within_binomial(count: int, trials: int, share: float) -> bool:
    low, high = binom.ppf([0.001, 0.999], trials, share)
    return bool(low <= count <= high)


def test_difference_is_that_of_the_reported_means() -> None:
    rng = np.random.default_rng(0)
    a, b = study(rng, styles=9, seeds=3, held_out=4, of_style=1.0, of_query=1.0)
    found = compare(a, b, METRIC, rng, 200)
    means = [[own.mean(METRIC) for own in each] for each in (a, b)]
    assert found.difference == pytest.approx(np.mean(means[0]) - np.mean(means[1]))
    assert found.low < found.difference < found.high


def test_triplets_weigh_as_they_are_reported_and_no_value_counts_for_nothing() -> None:
    anchors, styles = np.array([5, 1, 0]), ("x", "y", "z")
    values = np.array([[0.9, 0.2, np.nan], [0.5, 0.6, np.nan]])
    a, b = (Queries(styles, anchors, {"triplet_accuracy": v}) for v in values)
    found = compare([a], [b], "triplet_accuracy", np.random.default_rng(0), 100)
    assert found.difference == pytest.approx((5 * 0.4 - 0.4) / 6)
    assert pair([a], [b], "triplet_accuracy").styles == 2


def test_sign_flips_agree_with_all_of_them() -> None:
    rng = np.random.default_rng(1)
    a, b = study(
        rng, styles=8, seeds=2, held_out=6, truth=0.5, of_style=1.0, of_query=0.3
    )
    parts: dict[str, float] = {}
    for one, other in zip(a, b, strict=True):
        for i, style in enumerate(one.styles):
            gap = one.values[METRIC][i] - other.values[METRIC][i]
            parts[style] = parts.get(style, 0.0) + gap / len(one.styles) / len(a)
    sums = [
        abs(sum(s * part for s, part in zip(signs, parts.values(), strict=True)))
        for signs in product((-1, 1), repeat=len(parts))
    ]
    exact = np.mean([s >= abs(sum(parts.values())) - 1e-12 for s in sums])
    found = sign_flip(pair(a, b, METRIC), rng, 20_000)
    assert found == pytest.approx(float(exact), abs=0.015)


def test_p_values_without_a_difference_are_uniform_and_naive_ones_are_not() -> None:
    rng, trials = np.random.default_rng(2), 400
    fair, naive = [], []
    for _ in range(trials):
        a, b = study(rng, styles=14, seeds=3, held_out=7, of_style=1.0, of_query=0.3)
        fair.append(sign_flip(pair(a, b, METRIC), rng, 400))
        alone = pair(each_alone(a), each_alone(b), METRIC)
        naive.append(sign_flip(alone, rng, 400))
    assert kstest(fair, "uniform").pvalue > 0.01
    assert within_binomial(int(np.sum(np.array(fair) <= 0.05)), trials, 0.05)
    # One query in three is new evidence at most: the naive test cries wolf.
    assert np.mean(np.array(naive) <= 0.05) > 0.3


def test_p_values_are_uniform_where_queries_are_independent() -> None:
    rng, trials = np.random.default_rng(3), 400
    p_values = []
    for _ in range(trials):
        a, b = study(rng, styles=14, seeds=3, held_out=7, of_query=1.0)
        p_values.append(sign_flip(pair(a, b, METRIC), rng, 400))
    assert kstest(p_values, "uniform").pvalue > 0.01
    assert within_binomial(int(np.sum(np.array(p_values) <= 0.05)), trials, 0.05)


def test_an_obvious_difference_is_found_and_has_a_direction() -> None:
    rng = np.random.default_rng(4)
    sizes = {"styles": 20, "seeds": 3, "held_out": 10}
    a, b = study(rng, **sizes, truth=1.0, of_style=0.5, of_query=0.5)
    found, opposite = (compare(*two, METRIC, rng, 1000) for two in ((a, b), (b, a)))
    assert found.p_value == opposite.p_value == pytest.approx(1 / 1001)
    assert found.low > 0.4 and opposite.high < -0.4
    assert found.high < 2.0


def test_a_method_does_not_differ_from_itself() -> None:
    rng = np.random.default_rng(5)
    a, _ = study(rng, styles=6, seeds=2, held_out=3)
    found = compare(a, a, METRIC, rng, 100)
    assert (found.difference, found.low, found.high, found.p_value) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("of_seed", "held_out"), [(0.0, 8), (0.4, 8), (0.4, 24)], ids=str
)
def test_interval_covers_the_truth(of_seed: float, held_out: int) -> None:
    rng, trials, covered = np.random.default_rng(6), 120, 0
    for _ in range(trials):
        a, b = study(
            rng,
            styles=24,
            seeds=5,
            held_out=held_out,
            truth=0.7,
            of_style=1.0,
            of_seed=of_seed,
            of_query=0.5,
        )
        low, high = interval(pair(a, b, METRIC), rng, 300)
        covered += low <= 0.7 <= high
    assert 0.88 <= covered / trials <= 0.99


def test_interval_equals_a_loop_over_draws() -> None:
    rng = np.random.default_rng(7)
    a, b = study(rng, styles=10, seeds=3, held_out=5, of_style=1.0, of_query=0.5)
    cells: list[dict[str, list[float]]] = []
    for one, other in zip(a, b, strict=True):
        cells.append({})
        gaps = one.values[METRIC] - other.values[METRIC]
        for style, gap in zip(one.styles, gaps, strict=True):
            cells[-1].setdefault(style, []).append(float(gap))
    names = sorted({style for seed in cells for style in seed})
    values = []
    for _ in range(3000):
        styles = rng.choice(names, len(names))
        means = []
        for seed in rng.choice(len(cells), len(cells)):
            drawn = [
                rng.choice(cells[seed][style], len(cells[seed][style]))
                for style in styles
                if style in cells[seed]
            ]
            if drawn:
                means.append(np.concatenate(drawn).mean())
        if means:
            values.append(np.mean(means))
    expected = np.quantile(values, [0.025, 0.975])
    found = interval(pair(a, b, METRIC), rng, 20_000)
    np.testing.assert_allclose(found, expected, atol=0.12 * float(np.ptp(expected)))


def test_holm_by_hand() -> None:
    adjusted = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(adjusted, [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.9, 0.6])), [1.0, 1.0])
    np.testing.assert_allclose(holm(np.array([0.02, 0.02])), [0.04, 0.04])
    assert holm(np.zeros(0)).size == 0


def test_other_queries_are_refused() -> None:
    rng = np.random.default_rng(8)
    a, b = study(rng, styles=9, seeds=3, held_out=4)
    moved = queries(b[1].styles[::-1], b[1].values[METRIC])
    part = queries(b[0].styles[:-1], b[0].values[METRIC][:-1])
    holes = queries(b[0].styles, np.where(np.arange(len(b[0].styles)), 1.0, np.nan))
    more = Queries(b[0].styles, np.ones(len(b[0].styles), np.int64), b[0].values)
    for wrong, message in (
        (b[:2], "the same seeds of both, found 3 and 2"),
        ([b[1], b[0], b[2]], "the same queries in both at seed 1"),
        ([b[0], moved, b[2]], "the same queries in both at seed 2"),
        ([part, *b[1:]], "the same queries in both at seed 1"),
        ([more, *b[1:]], "the same queries in both at seed 1"),
        ([holes, *b[1:]], "map@10 of the same queries in both at seed 1"),
    ):
        with pytest.raises(CheckpointError, match=message):
            compare(a, wrong, METRIC, rng)
    with pytest.raises(CheckpointError, match=r"values for mrr .*, found map@10"):
        compare(a, b, "mrr", rng)
    with pytest.raises(CheckpointError, match="found 0 and 0"):
        compare([], [], METRIC, rng)
    empty = [queries(q.styles, np.full(len(q.styles), np.nan)) for q in a]
    with pytest.raises(CheckpointError, match="a query with a value for map@10"):
        compare(empty, empty, METRIC, rng)
