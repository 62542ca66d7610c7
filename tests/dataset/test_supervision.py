"""Likeness from tags and labels, against sets counted by hand."""

import numpy as np

from lorajax.dataset.supervision import from_labels, from_tags, jaccard, telling_tags


def test_jaccard_is_shared_over_all() -> None:
    tags = [frozenset("ab"), frozenset("bc"), frozenset(), frozenset("ab")]
    found = jaccard(tags)
    for i, a in enumerate(tags):
        for j, b in enumerate(tags):
            expected = len(a & b) / len(a | b) if a | b else 0.0
            assert found[i, j] == expected


def test_telling_tag_is_the_rarest_shared_one_on_all_pictures() -> None:
    tags = [
        {"ink": 10.0, "dark": 10.0, "cat": 3.0, "mine": 10.0},
        {"ink": 9.0, "dark": 9.0, "cat": 4.0},
        {"soft": 5.0, "dark": 5.0},
        {"soft": 5.0, "cat": 5.0, "paper": 5.0},
        {},
        {"alone": 1.0},
    ]
    assert telling_tags(tags) == ["ink", "ink", "soft", "soft", None, None]


def test_usable_labels_have_two_members() -> None:
    supervision = from_labels(["b", "a", "b", None, "c", "a"], "")
    assert supervision.usable_labels == {"a": [1, 5], "b": [0, 2]}
    assert supervision.similarity is not None
    assert supervision.similarity[0].tolist() == [1, 0, 1, 0, 0, 0]
    assert not supervision.similarity[3].any()  # nothing is known about it


def test_tags_give_graded_similarity() -> None:
    supervision = from_tags(
        [{"a": 1.0, "x": 1.0}, {"a": 1.0, "y": 1.0}, {"b": 1.0}], ""
    )
    assert supervision.similarity is not None
    np.testing.assert_allclose(supervision.similarity[0], [1.0, 1 / 3, 0.0])
