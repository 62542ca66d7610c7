"""SuperLoRA against explicit Kronecker products and sums over ranks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorajax.adapters.superlora import fold, group_sizes, permutation


@given(st.integers(1, 10**9), st.integers(1, 8))
def test_folding_is_nearly_hypercubic_and_tight(n: int, ways: int):
    sides = fold(n, ways)
    assert len(sides) == ways and list(sides) == sorted(sides, reverse=True)
    assert n <= math.prod(sides) < 2 * n
    assert sides[0] - min(sides[:-1], default=sides[0]) <= 1


@given(st.integers(1, 500), st.integers(1, 40))
def test_groups_are_those_of_array_split(total: int, groups: int):
    parts = np.array_split(np.arange(total), groups)
    assert group_sizes(total, groups) == tuple(len(part) for part in parts)


def test_shuffles_never_change():
    """Files depend on these numbers: another result is another update."""
    assert permutation(7, 0, 8).tolist() == [0, 6, 7, 2, 4, 5, 1, 3]
    assert sorted(permutation(7, 1, 100)) == list(range(100))
    assert permutation(7, 1, 8).tolist() != permutation(7, 0, 8).tolist()


def test_folding_nothing_is_a_mistake():
    with pytest.raises(ValueError, match="got 0 and 2"):
        fold(0, 2)
