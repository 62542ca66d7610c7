"""Mined triplets obey the teacher, band by band."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorajax.dataset.mining import EASY_SHARE, SEMI_HARD_SHARE, triplets_among
from lorajax.dataset.supervision import (
    Supervision,
    from_labels,
    from_triplets,
    unsupervised,
)

MIXTURE = (15.0, 5.0, 1.0)


def graded(seed: int, count: int = 60) -> Supervision:
    """Styles on a line: the farther apart, the less alike, no two pairs equal."""
    rng = np.random.default_rng(seed)
    place = np.repeat(np.arange(count // 4), 4) + 0.1 * rng.random(count)
    similarity = 1.0 / (1.0 + np.abs(place[:, None] - place[None, :]))
    labels = tuple(f"s{int(p)}" for p in place)
    return Supervision("tags", labels, similarity, None, "")


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_positives_share_the_label_and_negatives_do_not(seed: int) -> None:
    supervision = graded(seed)
    rng = np.random.default_rng(seed)
    members = np.sort(rng.choice(60, size=40, replace=False))
    triplets = triplets_among(supervision, members, 200, MIXTURE, rng)
    labels = np.array(supervision.labels)[members]
    a, p, n = triplets.T
    assert (labels[a] == labels[p]).all() and (a != p).all()
    assert (labels[a] != labels[n]).all()


def test_mixture_of_bands_is_as_asked() -> None:
    supervision = graded(0)
    members = np.arange(60)
    rng = np.random.default_rng(0)
    a, _, n = triplets_among(supervision, members, 6000, MIXTURE, rng).T
    assert supervision.similarity is not None
    others = supervision.similarity - 2 * np.eye(60)
    rank = (-others).argsort(1).argsort(1) + 1  # plain ranks, no ties here
    share = rank[a, n] / 59
    semi = (share <= SEMI_HARD_SHARE).mean()
    easy = ((share > SEMI_HARD_SHARE) & (share <= EASY_SHARE)).mean()
    assert semi == pytest.approx(15 / 21, abs=0.03)
    assert easy == pytest.approx(5 / 21, abs=0.03)


def test_without_labels_the_nearest_are_positives() -> None:
    graded_only = graded(1)
    supervision = Supervision("tags", (None,) * 60, graded_only.similarity, None, "")
    rng = np.random.default_rng(0)
    a, p, n = triplets_among(supervision, np.arange(60), 500, MIXTURE, rng).T
    assert supervision.similarity is not None
    assert (supervision.similarity[a, p] > supervision.similarity[a, n]).all()


def test_known_triplets_are_kept_whole_and_renumbered() -> None:
    known = np.array([[3, 5, 7], [3, 5, 1], [7, 3, 5]])
    supervision = from_triplets("triplets", 9, known, "")
    members = np.array([7, 5, 3])
    rng = np.random.default_rng(0)
    drawn = triplets_among(supervision, members, 50, MIXTURE, rng)
    assert {tuple(members[row]) for row in drawn} == {(3, 5, 7), (7, 3, 5)}


def test_nothing_to_mine_gives_nothing() -> None:
    rng = np.random.default_rng(0)
    one_label = from_labels(["a"] * 5, "")
    for supervision in (one_label, unsupervised(5, "")):
        found = triplets_among(supervision, np.arange(5), 10, MIXTURE, rng)
        assert found.shape == (0, 3)
