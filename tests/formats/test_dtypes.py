"""Conversions to float32 are numpy's own, bit for bit."""

import ml_dtypes
import numpy as np
import pytest

from lorajax.formats import to_float32
from lorajax.formats.dtypes import count_not_finite

EVERY_16 = np.arange(2**16, dtype=np.uint16)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_every_sixteen_bit_number_becomes_the_same_float32(dtype: type):
    every = EVERY_16.view(dtype)
    with np.errstate(invalid="ignore"):  # ml_dtypes warns of NaN
        expected = every.astype(np.float32)
    np.testing.assert_array_equal(to_float32(every), expected)
    finite = every[np.isfinite(expected)]
    for numbers in (finite, finite[:1].reshape(()), finite[:0]):
        wide = to_float32(numbers)
        assert wide.dtype == np.float32 and wide.shape == numbers.shape
        np.testing.assert_array_equal(wide, numbers.astype(np.float32))
    np.testing.assert_array_equal(np.signbit(to_float32(finite)), np.signbit(finite))


@pytest.mark.parametrize(
    "dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
)
def test_counts_what_is_not_finite(dtype: type):
    array = np.array([1.0, -2.0, 0.0, 3.0], dtype)
    assert count_not_finite(array) == 0
    array[1:3] = np.nan, -np.inf
    assert count_not_finite(array) == 2
    assert count_not_finite(array[:0]) == 0


def test_huge_finite_numbers_are_finite():
    assert count_not_finite(np.full(8, 3e38, np.float32)) == 0


def test_float32_is_not_copied():
    array = np.ones(3, np.float32)
    assert to_float32(array) is array


def test_float64_beyond_float32_becomes_infinite_without_a_warning():
    assert np.isinf(to_float32(np.array([1e300]))).all()
