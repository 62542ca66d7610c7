"""The sketch of a whole update: linear, blind to writing, close to dense cosines."""

import numpy as np
import pytest

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.low_rank import LowRankUpdate
from lorajax.errors import ProjectionError
from lorajax.projection.whole_sketch import WIDTH, whole_sketch
from tests.conftest import adapter_of

MODULES = {f"unet.{i}.to_q": (24, 18) for i in range(30)}


def random_adapter(seed: int, size: float = 1.0) -> Adapter:
    rng = np.random.default_rng(seed)
    return adapter_of(
        {
            module: LowRankUpdate(
                rng.standard_normal((out, 3)), rng.standard_normal((3, in_)), size
            )
            for module, (out, in_) in MODULES.items()
        }
    )


def joined(a: Adapter, b: Adapter, weight: float) -> Adapter:
    """a + weight · b, as concatenated factors."""
    pairs = ((m, a.updates[m], b.updates[m]) for m in MODULES)
    return adapter_of(
        {
            m: LowRankUpdate(
                np.hstack([x.up, weight * y.up]), np.vstack([x.down, y.down])
            )
            for m, x, y in pairs
            if isinstance(x, LowRankUpdate) and isinstance(y, LowRankUpdate)
        }
    )


def dense(adapter: Adapter) -> np.ndarray:
    whole = (u.matmul(np.eye(u.shape[1])) for u in adapter.updates.values())
    return np.concatenate([delta.ravel() for delta in whole])


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_a_scaled_copy_has_the_same_sketch() -> None:
    vector = whole_sketch(random_adapter(1))
    assert vector.shape == (WIDTH,) and 0.5 < np.linalg.norm(vector) < 2
    for size in (1e-12, 30.0, 1e12):
        other = whole_sketch(random_adapter(1, size))
        np.testing.assert_allclose(other, vector, atol=1e-6)


def test_a_merge_lies_in_the_plane_of_its_parents() -> None:
    a, b = random_adapter(1), random_adapter(2)
    both = joined(a, b, 0.5)
    merged, *parents = (whole_sketch(x) * x.norm for x in (both, a, b))
    weights, *_ = np.linalg.lstsq(np.stack(parents, axis=1), merged, rcond=None)
    np.testing.assert_allclose(weights, [1, 0.5], rtol=1e-4)
    error = np.linalg.norm(parents[0] + 0.5 * parents[1] - merged)
    assert error < 1e-5 * np.linalg.norm(merged)


@pytest.mark.parametrize("weight", [0.05, 0.2, 0.5])
def test_distances_of_near_updates_are_as_in_dense_arithmetic(weight: float) -> None:
    ratios = []
    for seed in range(8):
        a = random_adapter(seed)
        near = joined(a, random_adapter(seed + 100), weight)
        true = 1 - cosine(dense(a), dense(near))
        ratios.append((1 - cosine(whole_sketch(a), whole_sketch(near))) / true)
    assert np.mean(ratios) == pytest.approx(1, abs=0.2)
    assert np.std(ratios) < 0.35


def test_numbers_out_of_range_are_refused() -> None:
    huge = LowRankUpdate(np.full((4, 1), 1e30, "f4"), np.full((1, 4), 1e30, "f4"))
    with pytest.raises(ProjectionError, match="expected an update with a direction"):
        whole_sketch(adapter_of({"unet.0.to_q": huge}))
