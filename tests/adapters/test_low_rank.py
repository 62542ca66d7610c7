"""Low-rank algebra equals dense algebra, whatever the factors look like."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorajax.adapters import DenseUpdate, LowRankUpdate, Update, inner, sketch, spectrum
from lorajax.errors import AdapterError


@st.composite
def updates(draw: st.DrawFn, count: int = 1) -> list[LowRankUpdate]:
    """Updates of one shape and different ranks, scales and precisions."""
    out, in_ = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    found = []
    for _ in range(count):
        rank = draw(st.integers(1, 14))
        scale = draw(st.floats(-4, 4).filter(lambda s: abs(s) > 1e-3))
        up, down = rng.standard_normal((out, rank)), rng.standard_normal((rank, in_))
        dtype = draw(st.sampled_from([np.float64, np.float32]))
        found.append(LowRankUpdate(up.astype(dtype), down.astype(dtype), scale))
    return found


def close(actual: object, expected: object) -> None:
    np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=2e-4)  # type: ignore


def oracle(update: LowRankUpdate) -> np.ndarray:
    up, down = update.stored_up.astype(float), update.stored_down.astype(float)
    return update.scale * (up @ down)


@given(updates())
def test_every_method_equals_the_dense_one(found: list[LowRankUpdate]):
    (update,) = found
    weight = oracle(update)
    rng = np.random.default_rng(0)
    right = rng.standard_normal((weight.shape[1], 3))
    left = rng.standard_normal((weight.shape[0], 2))
    assert isinstance(update, Update) and update.shape == weight.shape
    close(update.dense(), weight)
    close(update.matmul(right), weight @ right)
    close(update.rmatmul(left), weight.T @ left)
    close(update.squared_norm(), np.sum(weight**2))
    close(sketch(update, left, right), left.T @ weight @ right)
    up, down = update.factors()
    close(up @ down, weight)
    half = (weight.shape[0] + 1) // 2
    close(update.rows(0, half).dense(), weight[:half])


@given(updates(count=2))
def test_any_two_families_share_one_inner_product(found: list[LowRankUpdate]):
    a, b = found
    expected = np.sum(oracle(a) * oracle(b))
    for first in (a, DenseUpdate(oracle(a))):
        for second in (b, DenseUpdate(oracle(b))):
            assert isinstance(first, Update)
            assert isinstance(second, Update)
            close(inner(first, second), expected)


@given(updates())
def test_spectra_are_those_of_the_dense_update(found: list[LowRankUpdate]):
    (update,) = found
    weight = oracle(update)
    expected = np.linalg.svd(weight, compute_uv=False)
    for family in (update, DenseUpdate(weight)):
        values = spectrum(family)[: min(weight.shape)]
        close(values, expected[: len(values)])
        close(expected[len(values) :], 0.0)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: type):
    rng = np.random.default_rng(0)
    up, down = rng.standard_normal((64, 8)), rng.standard_normal((8, 32))
    half = LowRankUpdate(up.astype(dtype), down.astype(dtype), 0.5)
    exact = half.up.astype(float) @ half.down.astype(float) * 0.5
    assert half.dense().dtype == np.float32
    np.testing.assert_allclose(half.dense(), exact, rtol=1e-5, atol=1e-5)
    cosine = np.vdot(exact, up @ down)
    cosine /= np.linalg.norm(exact) * np.linalg.norm(up @ down)
    assert cosine > 0.9999


def test_zero_updates_are_known_as_such():
    up, down = np.ones((3, 2), np.float32), np.ones((2, 4), np.float32)
    assert not LowRankUpdate(up, down).is_zero()
    assert LowRankUpdate(up, down, 0.0).is_zero()
    assert LowRankUpdate(0 * up, down).is_zero()
    assert LowRankUpdate(-0.0 * up, down).is_zero()
    assert LowRankUpdate(up * [1, 0], down * [[0], [1]]).is_zero()
    late = np.zeros((3, 2), ml_dtypes.bfloat16)
    late[2, 1] = 1
    assert not LowRankUpdate(late, down.astype(ml_dtypes.bfloat16)).is_zero()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_pairs_that_cancel_are_a_zero_update(dtype: type):
    rng = np.random.default_rng(0)
    u = rng.standard_normal((320, 1)).astype(dtype)
    d = rng.standard_normal((1, 768)).astype(dtype)
    up, down = np.hstack([u, -u / dtype(3)]), np.vstack([d, dtype(3) * d])
    assert up.dtype == down.dtype == dtype
    assert LowRankUpdate(up, down, 0.5).is_zero()
    assert LowRankUpdate(up * dtype(1e-12), down, 0.5).is_zero()


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_pairs_that_cancel_in_half_precision_are_a_zero_update(dtype: type):
    rng = np.random.default_rng(0)
    u = rng.integers(-40, 40, (320, 1)).astype(float)
    d = rng.integers(-40, 40, (1, 768)).astype(float)
    up, down = np.hstack([3 * u, -u]).astype(dtype), np.vstack([d, 3 * d]).astype(dtype)
    assert LowRankUpdate(up, down).is_zero()


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("rank", [1, 32, 512])
def test_trained_updates_are_never_zero(dtype: type, rank: int):
    rng = np.random.default_rng(rank)
    up = (1e-3 * rng.standard_normal((320, rank))).astype(dtype)
    down = rng.standard_normal((rank, 768)).astype(dtype)
    assert not LowRankUpdate(up, down, 1e-4).is_zero()
    # A large update taken back by its own negative leaves a small one, exactly.
    big, small = up.astype("f4") * 64, up[:, ::-1].astype("f4") / 64
    left = np.hstack([big, -big, small]).astype(dtype)
    right = np.vstack([down, down, down])
    left[:8] = 0  # and its corner tells nothing
    assert not LowRankUpdate(left, right).is_zero()


def test_programmer_mistakes_say_the_shapes():
    # With shape checks switched on, they speak first.
    with pytest.raises((ValueError, TypeError), match=r"\(3, 2\) and \(4, 3\)|4,3"):
        LowRankUpdate(np.ones((3, 2)), np.ones((4, 3)))
    a = LowRankUpdate(np.ones((3, 1)), np.ones((1, 3)))
    b = LowRankUpdate(np.ones((4, 1)), np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"got \(3, 3\) and \(4, 3\)"):
        inner(a, b)


def test_a_spectrum_without_factors_is_bounded():
    big = DenseUpdate(np.zeros((4097, 1024), np.float32))
    with pytest.raises(AdapterError, match="a module of 4097 x 1024"):
        spectrum(big)
