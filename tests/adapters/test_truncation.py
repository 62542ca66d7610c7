"""A LoRA at a lower rank, held against the singular values of its dense ΔW."""

import numpy as np
import pytest

from lorajax.adapters import DenseUpdate, HadamardUpdate, LowRankUpdate, Update
from lorajax.adapters.truncation import truncated
from tests.conftest import adapter_of

OUT, IN = 24, 30


def low_rank(rank: int, seed: int = 0, scale: float = 0.7) -> LowRankUpdate:
    rng = np.random.default_rng(seed)
    up, down = rng.standard_normal((OUT, rank)), rng.standard_normal((rank, IN))
    return LowRankUpdate(up.astype("f4"), down.astype("f4"), scale)


def cut(update: Update, share: float = 0.5) -> Update:
    return truncated(adapter_of({"m": update}), share).updates["m"]


def oracle(weight: np.ndarray, kept: int) -> np.ndarray:
    left, values, right = np.linalg.svd(weight.astype("f8"))
    return (left[:, :kept] * values[:kept]) @ right[:kept]


@pytest.mark.parametrize(
    ("rank", "share", "kept"),
    [(8, 0.5, 4), (7, 0.5, 4), (2, 0.5, 1), (8, 0.25, 2), (40, 0.5, 12)],
)
def test_the_leading_triples_of_the_dense_update(
    rank: int, share: float, kept: int
) -> None:
    """Forty pairs are more than a 24 x 30 matrix has ranks."""
    update = low_rank(rank)
    found = cut(update, share)
    assert isinstance(found, LowRankUpdate) and found.rank == kept
    np.testing.assert_allclose(found.dense(), oracle(update.dense(), kept), atol=2e-5)


@pytest.mark.parametrize("seed", range(3))
def test_other_factors_of_the_same_update_are_cut_alike(seed: int) -> None:
    """A gauge, pairs of which one half is zero, and one pair written as two."""
    rng = np.random.default_rng(seed)
    plain = low_rank(6, seed, 1.0)
    rotation, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    gauge = rotation * np.exp(rng.uniform(-1, 1, 6))
    up, down = plain.up @ gauge, np.linalg.inv(gauge) @ plain.down
    wide = np.hstack([up, rng.standard_normal((OUT, 3)), 0.5 * up[:, :1]])
    tall = np.vstack([down, np.zeros((3, IN)), 0.5 * down[:1]])
    tall[0] *= 0.75
    other = LowRankUpdate(wide.astype("f4"), tall.astype("f4"))
    first, second = cut(plain), cut(other)
    assert isinstance(second, LowRankUpdate) and second.rank == 3
    np.testing.assert_allclose(first.dense(), second.dense(), atol=1e-5)


def test_what_cannot_lose_a_triple_stays() -> None:
    one, dense = low_rank(1), DenseUpdate(low_rank(8).dense())
    assert cut(one) is one and cut(dense) is dense
    whole = low_rank(8)
    assert cut(whole, 1.0) is whole
    doubled = LowRankUpdate(
        np.hstack([one.up, one.up]), np.vstack([one.down, 2 * one.down])
    )
    assert cut(doubled) is doubled  # of rank one, however it is written
    # No factors much smaller than ΔW: LoHa of this rank and size.
    loha = HadamardUpdate(low_rank(4, 1), low_rank(4, 2))
    assert loha.factors() is None and cut(loha) is loha


def test_every_module_is_cut_and_the_adapter_is_not_changed() -> None:
    adapter = adapter_of({"a": low_rank(8), "b": low_rank(1), "c": low_rank(3)})
    before = {m: u.dense() for m, u in adapter.updates.items()}
    half = truncated(adapter)
    assert list(half.updates) == ["a", "b", "c"]
    assert 0 < half.norm < adapter.norm
    for module, update in adapter.updates.items():
        np.testing.assert_array_equal(update.dense(), before[module])


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5])
def test_a_share_is_a_share(share: float) -> None:
    with pytest.raises(ValueError, match="expected a share above 0 and at most 1"):
        truncated(adapter_of({"m": low_rank(2)}), share)
