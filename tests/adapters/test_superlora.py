"""SuperLoRA against explicit Kronecker products and sums over ranks."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorajax.adapters.superlora import (
    Factor,
    expansion,
    fold,
    group_sizes,
    kronecker,
    permutation,
    reconstruct,
    tensor,
)
from tests.adapters.superlora_oracle import oracle


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


# The formula


@st.composite
def groups(draw: st.DrawFn, cores: bool | None = None) -> list[Factor]:
    """K factors of M axes, each with a core of its own or without one."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    ways, found = draw(st.integers(2, 4)), []
    for _ in range(draw(st.integers(1, 3))):
        core = draw(st.booleans()) if cores is None else cores
        same = draw(st.integers(1, 3))
        ranks = [draw(st.integers(1, 3)) if core else same for _ in range(ways)]
        sides = [rng.standard_normal((draw(st.integers(1, 3)), r)) for r in ranks]
        found.append(Factor(tuple(sides), rng.standard_normal(ranks) if core else None))
    return found


@settings(deadline=None)
@given(groups())
def test_a_group_is_a_kronecker_product_of_tucker_products(factors: list[Factor]):
    expected = oracle(factors)
    found = kronecker([tensor(factor) for factor in factors])
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    sides = [math.prod(f.sides[m].shape[0] for f in factors) for m in range(found.ndim)]
    assert found.shape == tuple(sides)


@settings(deadline=None)
@given(groups())
def test_the_size_of_an_expansion_is_known_before(factors: list[Factor]):
    for sides, core in factors:
        shapes = [side.shape for side in sides]
        largest, work = expansion(shapes, None if core is None else core.shape)
        size = math.prod(side.shape[0] for side in sides)
        assert size <= largest and work >= size


def test_special_cases_of_the_paper():
    rng = np.random.default_rng(0)
    up, down = rng.standard_normal((6, 2)), rng.standard_normal((2, 4))
    lora = reconstruct([[Factor((up, down.T))]], [24], 0.5)
    np.testing.assert_allclose(lora.reshape(6, 4), 0.5 * up @ down, rtol=1e-5)
    left, right = rng.standard_normal((2, 3)), rng.standard_normal((4, 5))
    pair = [Factor((np.eye(*w.shape[:1]), w.T)) for w in (left, right)]
    lokr = reconstruct([pair], [120])
    np.testing.assert_allclose(lokr.reshape(8, 15), np.kron(left, right), rtol=1e-5)
