"""An index proposes, the matrix decides: what comes back is held against sorting."""

import numpy as np
import pytest

from lorajax.library.vectors import Found, Matrix, ann, build_index, building, search
from lorajax.library.vectors import matrix as matrices
from lorajax.library.vectors.state import CacheError
from tests.library.vectors.stored import Stored, unit_rows

STYLES, WIDTH = 40, 24


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrices, "LARGE", 0)


def clustered(count: int, seed: int = 0) -> np.ndarray:
    """Unit rows around the centres of styles, which are the same for every seed."""
    rng = np.random.default_rng([seed, 1])
    centres = unit_rows(STYLES, WIDTH, seed=99)
    noise = 0.1 * rng.normal(size=(count, WIDTH)).astype(np.float32)
    rows = centres[rng.integers(0, STYLES, count)] + noise
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def truth(matrix: Matrix, queries: np.ndarray, k: int, mask: np.ndarray) -> np.ndarray:
    """Ids of the nearest rows of a mask, by sorting."""
    cosines = np.where(mask, queries @ matrix.rows.T, -np.inf)
    return matrix.ids[np.argsort(-cosines, axis=1)[:, :k]]


def recall(found: Found, expected: np.ndarray) -> float:
    pairs = zip(found.ids, expected, strict=True)
    shared = [len(set(ids.tolist()) & set(row.tolist())) for ids, row in pairs]
    return float(np.sum(shared) / expected.size)


def test_without_an_index_the_search_is_exact_and_says_so(stored: Stored) -> None:
    stored.put(clustered(300))
    matrix, queries = stored.open(), clustered(5, seed=1)
    found = search(matrix, queries, 10)
    np.testing.assert_array_equal(found.ids, truth(matrix, queries, 10, matrix.alive))
    assert "no index yet" in found.note and not found.approximate


def test_an_index_finds_nearly_all_with_exact_cosines(stored: Stored) -> None:
    stored.put(clustered(3000))
    seen: list[tuple[int, int]] = []
    built = build_index(stored.open(), stored.folder, lambda *pair: seen.append(pair))
    assert built == 3000 and seen[-1] == (3000, 3000)
    matrix, queries = stored.check(), clustered(50, seed=1)
    found = search(matrix, queries, 10)
    assert found.approximate and found.note == ""
    assert recall(found, truth(matrix, queries, 10, matrix.alive)) >= 0.99
    rows = np.searchsorted(matrix.ids, found.ids)
    cosines = np.einsum("qke,qe->qk", matrix.rows[rows], queries)
    np.testing.assert_allclose(found.similarity, cosines, atol=1e-6)
    assert np.all(np.diff(found.similarity, axis=1) <= 0)


def test_no_row_is_out_of_reach_of_the_index(stored: Stored) -> None:
    """Built by several threads, a graph of so many rows has lost some of them."""
    stored.put(clustered(10_000))
    build_index(stored.open(), stored.folder)
    index = stored.open().index
    assert index is not None
    reached = index.graph.search(clustered(1, seed=1)[0], 10_000, threads=1).keys
    assert len(reached) == 10_000


def test_exactly_is_exactly(stored: Stored) -> None:
    stored.put(clustered(500))
    build_index(stored.open(), stored.folder)
    matrix, queries = stored.open(), clustered(20, seed=1)
    found = search(matrix, queries, 10, exactly=True)
    np.testing.assert_array_equal(found.ids, truth(matrix, queries, 10, matrix.alive))


def test_vectors_that_came_or_went_since_are_found_or_not(stored: Stored) -> None:
    stored.put(clustered(1000))
    build_index(stored.open(), stored.folder)
    stored.put(clustered(200, seed=2), first=1000)
    stored.drop(*range(0, 1100, 10))
    matrix, queries = stored.check(), clustered(50, seed=1)
    assert matrix.index is not None and matrix.index.rows == 1000
    found = search(matrix, queries, 10)
    assert np.isin(found.ids, matrix.ids[matrix.alive]).all()
    assert recall(found, truth(matrix, queries, 10, matrix.alive)) >= 0.99
    assert build_index(matrix, stored.folder) == len(matrix.rows)
    found = search(stored.open(), queries, 10)
    assert recall(found, truth(matrix, queries, 10, matrix.alive)) >= 0.99


@pytest.mark.parametrize("share", [0.002, 0.05, 0.5])
def test_filters_hold_and_lose_no_neighbour(stored: Stored, share: float) -> None:
    stored.put(clustered(3000))
    build_index(stored.open(), stored.folder)
    matrix, queries = stored.open(), clustered(30, seed=1)
    allowed = np.random.default_rng(3).random(3000) < share
    found = search(matrix, queries, 10, allowed)
    expected = truth(matrix, queries, min(10, int(allowed.sum())), allowed)
    assert found.ids.shape == expected.shape
    assert np.isin(found.ids, matrix.ids[allowed]).all()
    assert recall(found, expected) >= 0.99


def test_a_filter_that_the_neighbourhood_lacks_is_searched_exactly(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that the index proposes is near the query, and nothing near is allowed."""
    stored.put(clustered(3000))
    build_index(stored.open(), stored.folder)
    matrix, query = stored.open(), clustered(1, seed=1)
    monkeypatch.setattr(ann, "MOST_PROPOSED", 10**9)
    allowed = (matrix.rows @ query[0]) < 0.1
    found = search(matrix, query, 10, allowed)
    np.testing.assert_array_equal(found.ids, truth(matrix, query, 10, allowed))


def test_a_build_that_was_interrupted_goes_on_where_it_was(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "_BATCH", 100)
    monkeypatch.setattr(building, "_PLACED_EVERY", 300)
    stored.put(clustered(1000))

    def stop(done: int, total: int) -> None:
        if done == 500:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index(stored.open(), stored.folder, stop)
    matrix, queries = stored.open(), clustered(30, seed=1)
    assert matrix.index is not None and matrix.index.rows == 300
    assert (
        recall(search(matrix, queries, 10), truth(matrix, queries, 10, matrix.alive))
        >= 0.99
    )
    seen: list[int] = []
    assert (
        build_index(matrix, stored.folder, lambda _, total: seen.append(total)) == 1000
    )
    assert set(seen) == {700}
    found = search(stored.open(), queries, 10)
    assert recall(found, truth(matrix, queries, 10, matrix.alive)) >= 0.99
    assert len(stored.files(".usearch")) == 1


def test_filters_and_exact_search_agree_on_what_ids_mean(stored: Stored) -> None:
    stored.put(clustered(100))
    stored.open()
    stored.drop(4)
    matrix = stored.open()
    mask = matrix.mask(matrix.ids[[3, 4, 5]])
    found = search(matrix, clustered(1, seed=1), 10, mask, exactly=True)
    assert sorted(found.ids[0].tolist()) == matrix.ids[[3, 5]].tolist()


@pytest.mark.parametrize("damage", ["cut", "byte", "gone"])
def test_a_damaged_index_is_not_used(stored: Stored, damage: str) -> None:
    stored.put(clustered(300))
    build_index(stored.open(), stored.folder)
    (path,) = stored.files(".usearch")
    held = bytearray(path.read_bytes())
    held[len(held) // 2] ^= 1
    path.unlink()
    if damage != "gone":
        path.write_bytes(held if damage == "byte" else held[: len(held) // 3])
    matrix, queries = stored.open(), clustered(5, seed=1)
    assert matrix.index is None
    found = search(matrix, queries, 10)
    np.testing.assert_array_equal(found.ids, truth(matrix, queries, 10, matrix.alive))
    assert build_index(matrix, stored.folder) == 300
    assert len(stored.files(".usearch")) == 1


def test_an_index_goes_with_the_matrix_it_was_built_for(stored: Stored) -> None:
    stored.put(clustered(300))
    matrix = stored.open()
    build_index(matrix, stored.folder)
    stored.drop(*range(200))
    assert stored.check().index is None
    assert stored.files(".usearch") == []
    with pytest.raises(CacheError, match="written anew"):
        build_index(matrix, stored.folder)


def test_queries_of_another_width_are_refused(stored: Stored) -> None:
    stored.put(clustered(20))
    with pytest.raises(ValueError, match=f"width {WIDTH}, found 3"):
        search(stored.open(), unit_rows(1, 3), 1)
