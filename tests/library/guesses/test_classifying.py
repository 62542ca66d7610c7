"""Labels by neighbours: right where they are sure, `unknown` where they are not."""

import numpy as np
import pytest

from lorajax.errors import LibraryError
from lorajax.library import Library
from lorajax.library.guesses import Answer, Fit, Known, answer, fit, open_judge
from lorajax.library.guesses.weighing import strangers_share
from lorajax.library.labels import change_each
from tests.library.labelled import SPACE, add, bunches, fingerprint_text


def known_of(points: np.ndarray, truth: np.ndarray, works: object = None) -> Known:
    names = tuple(f"style-{i}" for i in range(int(truth.max()) + 1))
    own = np.arange(len(truth)) if works is None else np.asarray(works)
    return Known(points, truth, own, names)


def judge_each(known: Known, fitted: Fit) -> list[Answer]:
    """The answer for every known LoRA by the others, without its piece of work."""
    return [
        answer(known, fitted, point, known.works == work)
        for point, work in zip(known.vectors, known.works, strict=True)
    ]


def test_known_styles_are_told_and_strangers_are_unknown() -> None:
    points, truth = bunches(12, 8, 0.15, width=24)
    shown = np.arange(len(truth)) % 8 < 6
    asked = ~shown & (truth < 9)
    strange = truth >= 9
    known = known_of(points[shown & ~strange], truth[shown & ~strange])
    fitted = fit(known, 0.9)
    right = [
        answer(known, fitted, points[i]).label == f"style-{truth[i]}"
        for i in np.flatnonzero(asked)
    ]
    unknown = [
        answer(known, fitted, points[i]).label is None for i in np.flatnonzero(strange)
    ]
    assert np.mean(right) > 0.9 and np.mean(unknown) > 0.9


def test_shares_are_the_weights_of_neighbours_and_of_one_stranger() -> None:
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], "f4")
    known = Known(vectors, np.array([0, 1, 1]), np.arange(3), ("a", "b"))
    fitted = Fit(0.5, 0.3, 0.5, 1.0, 0.9, 1.0, 0.05, 3)
    found = answer(known, fitted, np.array([1, 0], "f4"))
    weights = np.exp(np.array([1.0, 0.8, 0.0, 0.3]) / 0.5)
    shares = weights / weights.sum()
    assert found.probabilities["a"] == pytest.approx(shares[0], rel=1e-5)
    assert found.probabilities["b"] == pytest.approx(shares[1] + shares[2], rel=1e-5)
    assert found.unknown == pytest.approx(shares[3], rel=1e-5)
    assert [place for place, _ in found.evidence] == [0, 1, 2]
    alone = answer(known, fitted, vectors[0], np.array([True, False, False]))
    assert list(alone.probabilities) == ["b"]


def test_labels_without_meaning_get_no_answers() -> None:
    points, _ = bunches(1, 200, 1.0, width=24)
    truth = np.random.default_rng(0).integers(0, 4, 200)
    known = known_of(points, truth)
    fitted = fit(known, 0.9)
    answered = [one.label is not None for one in judge_each(known, fitted)]
    assert np.mean(answered) < 0.05


def test_copies_do_not_vouch_for_each_other() -> None:
    points, _ = bunches(1, 60, 1.0, width=24)
    truth = np.random.default_rng(0).integers(0, 3, 60)
    thrice = np.repeat(points, 3, axis=0)
    works = np.repeat(np.arange(60), 3)
    trusting = fit(known_of(thrice, np.repeat(truth, 3)), 0.9)
    careful = fit(known_of(thrice, np.repeat(truth, 3), works), 0.9)
    assert trusting.coverage > 0.9 and careful.coverage < 0.1


def test_what_an_answer_is_worth_was_measured() -> None:
    points, truth = bunches(10, 20, 0.25, width=24)
    known = known_of(points, truth)
    for wanted in (0.8, 0.95):
        fitted = fit(known, wanted)
        answers = judge_each(known, fitted)
        given = [
            one.label == f"style-{truth[i]}"
            for i, one in enumerate(answers)
            if one.label is not None
        ]
        assert fitted.precision >= wanted and np.mean(given) >= wanted
        assert fitted.coverage == pytest.approx(len(given) / 200, abs=0.02)


def test_the_chance_of_a_new_label_is_good_turings() -> None:
    points, _ = bunches(1, 20, 1.0)
    truth = np.array([0] * 8 + [1] * 8 + [2, 3, 4, 5])
    assert strangers_share(known_of(points, truth)) == pytest.approx(4 / 20)
    # Twice the same work is a label seen once.
    works = [*range(16), 16, 16, 17]
    truth = np.array([0] * 8 + [1] * 8 + [2, 2, 3])
    points = points[:19]
    assert strangers_share(known_of(points, truth, works)) == pytest.approx(2 / 18)


def test_too_few_labels_say_so(library: Library) -> None:
    points, truth = bunches(4, 6, 0.1)
    for i, point in enumerate(points):
        add(library, f"l{i}", point, fingerprint=fingerprint_text(i))
    with pytest.raises(LibraryError, match=r"at least 20 labelled LoRAs.*found 0"):
        open_judge(library, "style", SPACE)
    says = {f"l{i}": [("style", f"s{truth[i]}")] for i in range(23)}
    change_each(library, says)
    judge = open_judge(library, "style", SPACE)
    found = judge.judge_key("l23")
    assert found is not None and found.label == "s3"
    assert judge.judge_key("nobody") is None
