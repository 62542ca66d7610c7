"""Held-out styles stay held out."""

import numpy as np

from lorajax.config import EvaluationSettings
from lorajax.dataset.splits import make_split
from lorajax.dataset.supervision import from_labels, from_triplets

LABELS = [f"style-{i // 4}" for i in range(48)] + [None, "single"]


def test_styles_are_disjoint_and_everything_is_used() -> None:
    split = make_split(from_labels(LABELS, ""), EvaluationSettings(), seed=3)
    assert split is not None
    parts = [split.train, split.validation, split.test]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(LABELS)))
    styles = [{LABELS[i] for i in part if LABELS[i]} for part in parts]
    assert not (styles[0] & styles[1] or styles[0] & styles[2] or styles[1] & styles[2])
    assert {48, 49} <= set(split.train.tolist())  # unlabelled ones are only trained on
    assert len(styles[2]) == 4 and len(styles[1]) == 2  # 0.3 and 0.2 of 12


def test_one_seed_one_split_and_another_seed_another() -> None:
    supervision = from_labels(LABELS, "")
    a, b, c = (
        make_split(supervision, EvaluationSettings(), seed) for seed in (1, 1, 2)
    )
    assert a is not None and b is not None and c is not None
    assert np.array_equal(a.test, b.test) and not np.array_equal(a.test, c.test)


def test_too_few_styles_hold_nothing_out() -> None:
    few = from_labels(["a", "a", "b", "b", "c", "c"], "")
    assert make_split(few, EvaluationSettings(), 0) is None


def test_triplets_split_by_lora() -> None:
    supervision = from_triplets("triplets", 20, np.array([[0, 1, 2]]), "")
    split = make_split(supervision, EvaluationSettings(), 0)
    assert split is not None and len(split.test) == 6 and len(split.validation) == 4
