"""Held-out styles stay held out."""

import numpy as np
import pytest

from lorajax.config import EvaluationSettings
from lorajax.dataset.splits import make_fixed_split, make_split
from lorajax.dataset.supervision import from_labels, from_triplets
from lorajax.errors import DatasetError

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


def test_a_fixed_test_keeps_all_of_its_styles_out() -> None:
    supervision = from_labels(LABELS, "")
    test = np.array([9, 4, 5])  # of the styles 2 and 1, whose others are in no part
    settings = EvaluationSettings()
    splits = [make_fixed_split(supervision, test, settings, seed) for seed in (1, 2)]
    for split in splits:
        assert split.test.tolist() == [4, 5, 9]
        used = np.concatenate([split.train, split.validation])
        assert len(set(used.tolist())) == len(used) == len(LABELS) - 8
        assert not {LABELS[i] for i in used} & {"style-1", "style-2"}
        selects = {LABELS[i] for i in split.validation}
        assert len(selects) == 2 and not selects & {LABELS[i] for i in split.train}
    assert splits[0].validation.tolist() != splits[1].validation.tolist()


def test_a_fixed_test_must_leave_something_to_learn_from() -> None:
    supervision = from_labels(["a", "a", "b", "b", "c", "c", "d", "d"], "")
    with pytest.raises(DatasetError, match="styles to learn from beside the 2 test"):
        make_fixed_split(supervision, np.array([0, 2]), EvaluationSettings(), 0)


def test_a_fixed_test_of_loras_without_styles() -> None:
    supervision = from_triplets("triplets", 20, np.array([[0, 1, 2]]), "")
    split = make_fixed_split(supervision, np.arange(5), EvaluationSettings(), 0)
    assert len(split.validation) == 3 and len(split.train) == 12
