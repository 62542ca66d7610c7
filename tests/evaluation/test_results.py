"""Tables of methods and metrics, with and without p-values."""

import json
import math
from collections.abc import Mapping

import numpy as np
import pytest

from lorajax.config import EvaluationSettings
from lorajax.dataset.supervision import Supervision, from_triplets
from lorajax.errors import CheckpointError
from lorajax.evaluation.metrics import measure
from lorajax.evaluation.queries import Queries
from lorajax.evaluation.results import Against, table, truth_of
from lorajax.evaluation.significance import FLIPS, compare, holm

RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((20, 5))
LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 7])
METHODS = {"control": 0.0, "close": 0.02, "better": 0.5}
MEASURED = ("map@10", "mrr")


def test_bare_pictures_have_no_styles_to_retrieve() -> None:
    likeness = np.asarray(np.corrcoef(VECTORS))
    settings, members = EvaluationSettings(triplets=50), np.arange(20)
    labels = tuple(str(label) for label in LABELS)
    for own, metrics in (((None,) * 20, 3), (labels, 6)):
        teacher = Supervision("behaviour", own, likeness, None, "", noise=0.01)
        truth = truth_of(teacher, members, settings, seed=0)
        assert len(measure(VECTORS, truth)) == metrics and len(truth.triplets) == 50
        assert truth.styles is not None
        assert len(set(truth.styles)) == (8 if own is labels else 20)


def test_a_lora_without_a_style_has_one_name_in_all_splits() -> None:
    teacher = from_triplets("triplets", 9, np.array([[0, 1, 2], [3, 4, 5]]), "")
    settings = EvaluationSettings()
    one = truth_of(teacher, np.array([3, 4, 5]), settings, seed=0).styles
    other = truth_of(teacher, np.array([1, 4, 5]), settings, seed=1).styles
    assert one is not None and other is not None
    assert one[1:] == other[1:] and one[0] != other[0]


def test_table_has_means_and_spreads() -> None:
    splits = [{"a": {"m": 0.5, "x": math.nan}}, {"a": {"m": 0.7, "x": math.nan}}]
    assert table(splits) == [{"method": "a", "m": {"mean": 0.6, "std": 0.1}}]


def queries_of(seed: int) -> dict[str, Queries]:
    """Values per query of all methods on one split."""
    rng = np.random.default_rng([7, seed])
    styles = tuple(str(label) for label in LABELS)
    anchors = np.zeros(20, np.int64)
    return {
        method: Queries(styles, anchors, {m: rng.random(20) + above for m in MEASURED})
        for method, above in METHODS.items()
    }


def means_of(split: Mapping[str, Queries]) -> dict[str, dict[str, float]]:
    return {
        method: {metric: own.mean(metric) for metric in MEASURED} | {"other": 1.0}
        for method, own in split.items()
    }


SPLITS = [queries_of(seed) for seed in range(3)]


def test_p_values_are_adjusted_over_the_methods_of_the_table() -> None:
    values = [means_of(split) for split in SPLITS]
    plain, rows = table(values), table(values, Against("control", SPLITS, seed=3))
    for metric in MEASURED:
        raw = [
            compare(
                [split[method] for split in SPLITS],
                [split["control"] for split in SPLITS],
                metric,
                np.random.default_rng([3, 6]),
                FLIPS,
            ).p_value
            for method in ("close", "better")
        ]
        found = [row[metric].pop("p_value") for row in rows]
        assert found[0] is None  # the reference itself
        np.testing.assert_allclose(found[1:], holm(np.array(raw)), atol=1e-5)
        assert found[2] < 0.05 < found[1]
    assert rows == plain  # no key but the p-values was added, none to "other"
    json.dumps(rows, allow_nan=False)


def test_p_values_do_not_depend_on_the_order_of_methods() -> None:
    backwards = [dict(reversed(split.items())) for split in SPLITS]
    rows = [
        table([means_of(s) for s in splits], Against("control", splits, seed=3))
        for splits in (SPLITS, backwards)
    ]
    assert rows[0] == rows[1][::-1]


def test_a_metric_that_nobody_could_measure_has_no_p_value() -> None:
    values = [{m: {"mrr": math.nan} for m in METHODS} for _ in SPLITS]
    rows = table(values, Against("control", SPLITS, seed=3))
    assert rows == [{"method": method} for method in METHODS]


def test_p_values_of_other_methods_or_splits_are_refused() -> None:
    values = [means_of(split) for split in SPLITS]
    with pytest.raises(CheckpointError, match="compare 'nobody' by; methods: control"):
        table(values, Against("nobody", SPLITS, seed=0))
    with pytest.raises(CheckpointError, match="of 3 splits, found 2"):
        table(values, Against("control", SPLITS[:2], seed=0))
    partly = [{k: v for k, v in split.items() if k != "close"} for split in SPLITS]
    with pytest.raises(CheckpointError, match="to compare 'close' by"):
        table(values, Against("control", partly, seed=0))
