"""Exact search against sorting every cosine."""

import numpy as np
import pytest

from lorajax.library.vectors import exact, table
from tests.library.vectors.stored import unit_rows


def sorted_cosines(
    rows: np.ndarray, query: np.ndarray, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    rows, query = rows.astype(np.float64), query.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
    cosines = rows @ query / lengths
    order = chosen[np.argsort(-cosines[chosen], kind="stable")]
    return order, cosines[order]


@pytest.mark.parametrize("k", [1, 4, 50, 80])
@pytest.mark.parametrize("queries", [1, 7])
def test_the_nearest_are_those_of_sorting(k: int, queries: int) -> None:
    rows, asked = unit_rows(50, 5), 3 * unit_rows(queries, 5, seed=1)
    found, similarity = exact.nearest(rows, asked, k)
    for i, query in enumerate(asked):
        order, cosines = sorted_cosines(rows, query, np.arange(50))
        np.testing.assert_array_equal(found[i], order[:k])
        np.testing.assert_allclose(similarity[i], cosines[:k], atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 3, 20, 299])
def test_only_chosen_rows_are_found(count: int) -> None:
    """Few are copied, many are taken from the whole product: both are the same."""
    rows, asked = unit_rows(300), unit_rows(2, seed=1)
    chosen = np.sort(np.random.default_rng(2).permutation(300)[:count])
    found, similarity = exact.nearest(rows, asked, 5, chosen)
    for i, query in enumerate(asked):
        order, cosines = sorted_cosines(rows, query, chosen)
        np.testing.assert_array_equal(found[i], order[:5])
        np.testing.assert_allclose(similarity[i], cosines[:5], atol=1e-6)


def test_equal_rows_come_in_their_order_also_at_the_end_of_the_list() -> None:
    rows = np.repeat(np.eye(3, dtype=np.float32), 40, axis=0)[::-1]
    found, similarity = exact.nearest(rows, np.eye(3, dtype=np.float32)[:1], 7)
    np.testing.assert_array_equal(found[0], 80 + np.arange(7))
    np.testing.assert_array_equal(similarity[0], np.ones(7))


def test_many_queries_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, asked = unit_rows(40), unit_rows(11, seed=1)
    together = exact.nearest(rows, asked, 3)
    monkeypatch.setattr(exact, "_COSINES", 100)
    in_turn = exact.nearest(rows, asked, 3)
    np.testing.assert_array_equal(together[0], in_turn[0])
    np.testing.assert_allclose(together[1], in_turn[1], atol=1e-6)


def test_vectors_that_lie_between_ids_are_not_copied() -> None:
    """The product reads the file's rows in place, or a search would need its size."""
    import tracemalloc

    held = np.zeros(20_000, table.row_type(64))
    held["vector"] = unit_rows(20_000, 64)
    tracemalloc.start()
    exact.nearest(held["vector"], unit_rows(1, 64, seed=1), 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < held.nbytes / 4


def test_nothing_is_found_among_no_rows() -> None:
    found, similarity = exact.nearest(np.empty((0, 4), np.float32), unit_rows(2, 4), 3)
    assert found.shape == similarity.shape == (2, 0)
