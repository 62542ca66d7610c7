"""What every family of updates must do, held against the dense matrix."""

import numpy as np

from lorajax.adapters import DenseUpdate, LowRankUpdate, Update, inner, sketch


def close(actual: object, expected: object) -> None:
    np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=2e-4)  # type: ignore


def assert_behaves(update: Update, weight: np.ndarray, seed: int) -> None:
    """All methods and all algebra of an update equal those of its ΔW.

    Compared at the size of ΔW, because entries that cancel keep the rounding of others.
    """
    rng = np.random.default_rng(seed)
    size = np.abs(weight).max() or 1.0
    out, in_ = weight.shape

    def near(actual: np.ndarray, expected: np.ndarray, terms: int = 1) -> None:
        assert actual.shape == expected.shape
        close(actual / size / np.sqrt(terms), expected / size / np.sqrt(terms))

    assert update.shape == weight.shape
    near(update.dense(), weight)
    right, left = rng.standard_normal((in_, 3)), rng.standard_normal((out, 2))
    near(update.matmul(right), weight @ right, in_)
    near(update.rmatmul(left), weight.T @ left, out)
    near(sketch(update, left, right), left.T @ weight @ right, in_ * out)
    close(update.squared_norm() / np.sum(weight**2), 1.0)
    if pair := update.factors():
        near(pair[0] @ pair[1], weight)
    start, stop = sorted(rng.integers(0, out + 1, 2))
    part = update.rows(int(start), int(stop))
    near(part.dense(), weight[start:stop])
    near(part.matmul(right), weight[start:stop] @ right, in_)
    near(part.rmatmul(left[start:stop]), weight[start:stop].T @ left[start:stop], out)
    near(np.sqrt([part.squared_norm()]), np.sqrt([np.sum(weight[start:stop] ** 2)]))
    near(
        part.rows(0, len(left[start:stop]) // 2).dense(),
        weight[start:stop][: (stop - start) // 2],
    )
    others = rng.standard_normal((out, in_))
    low = LowRankUpdate(rng.standard_normal((out, 2)), rng.standard_normal((2, in_)))
    for other, dense in ((DenseUpdate(others), others), (low, low.dense())):
        for product in (inner(update, other), inner(other, update)):
            near(np.array(product), np.array(np.sum(weight * dense)), in_ * out)
