"""Groups of like vectors: what is found, what it is called, and how it is numbered."""

from itertools import combinations

import numpy as np
import pytest

from lorajax.library import Library
from lorajax.library.clusters import find_clusters, kept_clusters
from lorajax.library.clusters.density import cluster, reduce
from lorajax.library.clusters.names import cluster_name, naming_words
from lorajax.library.labels import derive_labels
from lorajax.library.same_work import update_groups, work_groups
from tests.library.labelled import (
    BASE,
    SPACE,
    Told,
    add,
    bunches,
    fingerprint_text,
)


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Share of pairs that both join or both part."""
    pairs = list(combinations(range(len(first)), 2))
    a, b = np.array(pairs).T
    return float(((first[a] == first[b]) == (second[a] == second[b])).mean())


def test_planted_groups_are_found_and_strays_are_left_out() -> None:
    points, truth = bunches(6, 8, 0.05)
    rng = np.random.default_rng(1)
    strays = rng.normal(size=(6, points.shape[1]))
    strays /= np.linalg.norm(strays, axis=1, keepdims=True)
    found, firmness = cluster(np.vstack([points, strays]).astype("f4"), 4)
    assert agreement(found[:48], truth) == 1.0
    assert (found[48:] == -1).sum() >= 3
    assert ((firmness > 0) == (found >= 0)).all()


def test_the_graph_gives_what_all_distances_give() -> None:
    from sklearn.cluster import HDBSCAN

    points, _ = bunches(40, 7, 0.25, seed=3)
    dense = HDBSCAN(
        min_cluster_size=3,
        min_samples=2,
        cluster_selection_method="leaf",
        copy=False,  # pyright: ignore[reportArgumentType]
    )
    expected = dense.fit(reduce(points, 32).astype("f8")).labels_
    found, _ = cluster(points, 3)
    assert agreement(found, expected) > 0.999


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_handful_is_no_collection_to_group(count: int) -> None:
    points, _ = bunches(1, 6, 0.1)
    found, firmness = cluster(points[:count], 3)
    assert found.tolist() == [-1] * count and firmness.tolist() == [0.0] * count


def test_equal_vectors_stay_together() -> None:
    points = np.repeat(np.eye(4, dtype="f4"), 5, axis=0)
    found, _ = cluster(points, 3)
    assert agreement(found, np.repeat(np.arange(4), 5)) == 1.0 and found.min() == 0


def test_a_word_names_a_cluster_only_beyond_chance() -> None:
    words = [frozenset({"lora", "ink"})] * 5 + [frozenset({"lora", "pen"})] * 30
    telling = naming_words(words, [0] * 5 + [-1] * 30)
    assert cluster_name(telling[0]) == "ink"
    assert telling[0][0].inside == 1.0 and telling[0][0].outside == 0.0
    # Two of two are no surprise where half of all have the word.
    words = [frozenset({"ink"})] * 10 + [frozenset({"pen"})] * 10
    assert cluster_name(naming_words(words, [0, 0, *[-1] * 18])[0]) == ""


def test_the_chance_is_that_of_drawing_by_lot() -> None:
    from lorajax.library.clusters.names import _log_tail

    marked, total, size = 4, 9, 3
    draws = list(combinations(range(total), size))
    for count in range(4):
        share = np.mean([sum(i < marked for i in draw) >= count for draw in draws])
        assert np.exp(_log_tail(count, size, marked, total)) == pytest.approx(share)


def test_copies_and_epochs_are_one_piece_of_work(library: Library) -> None:
    epoch = Told(session="s1", epoch=1)
    names = [
        add(library, "a", [1, 0], fingerprint=fingerprint_text(1)),
        add(library, "a-cast", [1, 0], fingerprint=fingerprint_text(1, nudge=1)),
        add(library, "a-loud", [1, 0], fingerprint=fingerprint_text(1, 0, 0x7100)),
        add(library, "b", [0, 1], fingerprint=fingerprint_text(2), told=epoch),
        add(library, "b-2", [0, 1], fingerprint=fingerprint_text(3), told=epoch),
        add(library, "c", [0, 1]),
    ]
    assert update_groups(library, names).tolist() == [0, 0, 0, 1, 2, 3]
    assert work_groups(library, names).tolist() == [0, 0, 0, 1, 1, 2]


def fill(library: Library, size: int = 6) -> None:
    points, truth = bunches(4, size, 0.05)
    for i, (point, group) in enumerate(zip(points, truth, strict=True)):
        tags = ["lora", ("ink", "pen", "clay", "oil")[group]]
        name = f"{tags[1]}-{i:02}"
        add(library, name, point, tags, fingerprint_text(i))
    derive_labels(library)


def test_groups_are_named_kept_and_numbered_for_good(library: Library) -> None:
    fill(library)
    found = find_clusters(library, BASE, SPACE, 3)
    assert sorted(one.name for one in found.clusters) == ["clay", "ink", "oil", "pen"]
    numbers = {one.name: one.number for one in found.clusters}
    assert sorted(numbers.values()) == [1, 2, 3, 4] and found.without == 0
    for one in found.clusters:
        assert one.size == one.updates == 6
        vectors = dict(zip(*library.vectors(SPACE), strict=True))
        own = np.array([vectors[key] for key in one.members])
        direction = own.sum(0) / np.linalg.norm(own.sum(0))
        assert one.cohesion == pytest.approx((own @ direction).mean(), rel=1e-5)
        assert one.medoid == one.members[int((own @ direction).argmax())]
    kept = kept_clusters(library, BASE)
    assert kept is not None
    assert {c.number: c.members for c in kept.clusters} == {
        c.number: c.members for c in found.clusters
    }
    # A group more, sorted before the others, and one that is gone.
    strangers, _ = bunches(1, 9, 0.05, seed=77)
    for i, vector in enumerate(strangers):
        add(library, f"a-{i}", vector, ["lora", "chalk"], fingerprint_text(100 + i))
    library.mark_missing(f"/loras/{k}.safetensors" for k in found.clusters[0].members)
    library.forget_missing()
    derive_labels(library)
    again = find_clusters(library, BASE, SPACE, 3)
    left = {one.name: one.number for one in again.clusters}
    assert left.pop("chalk") == 5
    assert left == {name: n for name, n in numbers.items() if name in left}
    assert len(left) == 3


def test_copies_make_no_cluster_but_belong_to_theirs(library: Library) -> None:
    fill(library)
    lone = np.zeros(12, "f4")
    lone[0] = -1
    for i in range(5):
        add(library, f"copy-{i}", lone, ["lora"], fingerprint_text(500, nudge=i % 2))
    points, _ = bunches(4, 6, 0.05)
    add(library, "ink-again", points[0], ["ink"], fingerprint_text(0, nudge=1))
    found = find_clusters(library, BASE, SPACE, 3)
    assert found.loras == 30 and found.updates == 25
    assert all(one.updates >= 3 for one in found.clusters)
    ink = next(one for one in found.clusters if one.name == "ink")
    assert ink.size == 7 and ink.updates == 6 and "ink-again" in ink.members
