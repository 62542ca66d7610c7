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


def ranks(similarity: np.ndarray) -> np.ndarray:
    """Every other's rank for every anchor, written out: more alike + half the ties."""
    count = len(similarity)
    rank = np.full((count, count), np.nan)
    for a in range(count):
        others = [i for i in range(count) if i != a]
        for i in others:
            more = sum(similarity[a, j] > similarity[a, i] for j in others)
            ties = sum(similarity[a, j] == similarity[a, i] for j in others)
            rank[a, i] = more + (ties + 1) / 2
    return rank / (count - 1)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.0, 0.1]), st.booleans())
def test_triplets_follow_the_teacher(seed: int, noise: float, coarse: bool) -> None:
    """Nearest 5 % as positives, a gap to the negatives; coarse teachers have ties."""
    exact = graded(seed)
    assert exact.similarity is not None
    similarity = np.round(exact.similarity, 1) if coarse else exact.similarity
    supervision = Supervision("tags", exact.labels, similarity, None, "", noise)
    rng = np.random.default_rng(seed)
    members = np.sort(rng.choice(60, size=40, replace=False))
    a, p, n = triplets_among(supervision, members, 200, MIXTURE, rng).T
    among = similarity[np.ix_(members, members)]
    rank = ranks(among)
    assert ((rank[a, p] <= 0.05) | (rank[a, p] == np.nanmin(rank, axis=1)[a])).all()
    assert (among[a, p] - among[a, n] >= 2 * noise - 1e-12).all()
    assert (among[a, p] > among[a, n]).all() and (a != p).all()
    assert (rank[a, n] > 0.05).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_by_folders_positives_share_the_label_and_negatives_do_not(seed: int) -> None:
    labels = [*(graded(seed).labels), None, None]
    supervision = from_labels(labels, "")
    rng = np.random.default_rng(seed)
    members = np.sort(rng.choice(62, size=40, replace=False))
    triplets = triplets_among(supervision, members, 200, MIXTURE, rng)
    own = np.array([labels[i] or "" for i in members])
    a, p, n = triplets.T
    assert len(triplets) == 200
    assert (own[a] == own[p]).all() and (a != p).all()
    assert (own[a] != own[n]).all() and (own[triplets] != "").all()


def test_two_large_folders_make_triplets() -> None:
    supervision = from_labels(["a"] * 20 + ["b"] * 20, "")
    rng = np.random.default_rng(0)
    a, p, n = triplets_among(supervision, np.arange(40), 400, MIXTURE, rng).T
    assert (a // 20 == p // 20).all() and (a // 20 != n // 20).all()
    assert set(a.tolist()) == set(range(40)) == set(p.tolist()) == set(n.tolist())


def test_a_lora_of_which_nothing_is_known_is_in_no_triplet() -> None:
    exact = graded(3)
    assert exact.similarity is not None
    similarity = exact.similarity.copy()
    similarity[[4, 30]], similarity[:, [4, 30]] = 0.0, 0.0
    supervision = Supervision("behaviour", exact.labels, similarity, None, "", 0.01)
    rng = np.random.default_rng(0)
    members = np.arange(2, 60)
    triplets = members[triplets_among(supervision, members, 5000, MIXTURE, rng)]
    assert set(range(2, 60)) - set(triplets.ravel().tolist()) == {4, 30}


def test_noise_beyond_all_likeness_leaves_no_triplet() -> None:
    exact = graded(0)
    unsure = Supervision("behaviour", exact.labels, exact.similarity, None, "", 5.0)
    rng = np.random.default_rng(0)
    assert not len(triplets_among(unsure, np.arange(60), 10, MIXTURE, rng))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4])
def test_few_members(count: int) -> None:
    rng = np.random.default_rng(0)
    members = np.arange(count)
    found = triplets_among(graded(0), members, 10, MIXTURE, rng)
    assert len(found) == (10 if count > 2 else 0)


def test_mixture_of_bands_is_as_asked() -> None:
    supervision = graded(0)
    members = np.arange(60)
    rng = np.random.default_rng(0)
    a, _, n = triplets_among(supervision, members, 6000, MIXTURE, rng).T
    assert supervision.similarity is not None
    share = ranks(supervision.similarity)[a, n]
    semi = (share <= SEMI_HARD_SHARE).mean()
    easy = ((share > SEMI_HARD_SHARE) & (share <= EASY_SHARE)).mean()
    assert semi == pytest.approx(15 / 21, abs=0.03)
    assert easy == pytest.approx(5 / 21, abs=0.03)


def test_labels_do_not_matter_to_a_graded_teacher() -> None:
    exact = graded(1)
    unlabelled = Supervision("tags", (None,) * 60, exact.similarity, None, "")
    a, b = (
        triplets_among(teacher, np.arange(60), 50, MIXTURE, np.random.default_rng(0))
        for teacher in (exact, unlabelled)
    )
    assert np.array_equal(a, b)


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
