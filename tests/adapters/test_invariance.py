"""One ΔW, however it is written: gauge, rank, number format and scale do not show.

Every family is written twice, the second time with what may change without changing ΔW,
and norm, singular values and inner products must agree.
"""

from dataclasses import dataclass

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorajax.adapters import Operator, Update, inner, spectrum
from lorajax.adapters.alpha import Alpha
from lorajax.adapters.dora import Axis, Magnitude, decomposed
from lorajax.adapters.families import FAMILIES

Arrays = dict[str, np.ndarray]
OUT, IN, KERNEL = 12, 16, (3,)
# Relative to the update's own size; the dtypes have 8, 11 and 24 bits.
TOLERANCE = {
    np.dtype(ml_dtypes.bfloat16): 3e-2,
    np.dtype("f2"): 4e-3,
    np.dtype("f4"): 1e-5,
}


@dataclass(frozen=True)
class Written:
    """One way to write a family: its name, its tensors, and the pairs of a product.

    Attributes:
      pairs: roles of two tensors that are multiplied over the rank, the first's axis
        and the second's: between them any gauge may stand.
      alpha_rank: the role and axis of the rank that alpha is divided by.
    """

    family: str
    shapes: dict[str, tuple[int, ...]]
    pairs: tuple[tuple[tuple[str, int], tuple[str, int]], ...]
    alpha_rank: tuple[str, int] | None


def _pair(up: str, down: str) -> tuple[tuple[str, int], tuple[str, int]]:
    return (up, 1), (down, 0)


WAYS = {
    "LoRA": Written(
        "lora", {"up": (OUT, 3), "down": (3, IN)}, (_pair("up", "down"),), ("down", 0)
    ),
    "convolution": Written(
        "lora",
        {"up": (OUT, 3, 1), "down": (3, IN, *KERNEL)},
        (_pair("up", "down"),),
        ("down", 0),
    ),
    "Tucker": Written(
        "lora",
        {"up": (OUT, 3, 1), "mid": (3, 3, *KERNEL), "down": (3, IN, 1)},
        (_pair("up", "mid"), (("mid", 1), ("down", 0))),
        ("down", 0),
    ),
    "AdaLoRA": Written(
        "adalora", {"up": (OUT, 3), "down": (3, IN), "diagonal": (3, 1)}, (), None
    ),
    "LoHa": Written(
        "loha",
        {
            "hada_w1_a": (OUT, 2),
            "hada_w1_b": (2, IN),
            "hada_w2_a": (OUT, 2),
            "hada_w2_b": (2, IN),
        },
        (_pair("hada_w1_a", "hada_w1_b"), _pair("hada_w2_a", "hada_w2_b")),
        ("hada_w1_b", 0),
    ),
    "LoHa, Tucker": Written(
        "loha",
        {
            "hada_w1_a": (2, OUT),
            "hada_w1_b": (2, IN),
            "hada_t1": (2, 2, *KERNEL),
            "hada_w2_a": (2, OUT),
            "hada_w2_b": (2, IN),
            "hada_t2": (2, 2, *KERNEL),
        },
        ((("hada_w1_a", 0), ("hada_t1", 0)), (("hada_t2", 1), ("hada_w2_b", 0))),
        None,
    ),
    "LoKr": Written(
        "lokr",
        {"lokr_w1": (3, 4), "lokr_w2_a": (4, 2), "lokr_w2_b": (2, 4)},
        (_pair("lokr_w2_a", "lokr_w2_b"),),
        ("lokr_w2_b", 0),
    ),
    "LoKr, both": Written(
        "lokr",
        {
            "lokr_w1_a": (3, 2),
            "lokr_w1_b": (2, 4),
            "lokr_w2_a": (4, 2),
            "lokr_w2_b": (2, 4),
        },
        (_pair("lokr_w1_a", "lokr_w1_b"), _pair("lokr_w2_a", "lokr_w2_b")),
        None,
    ),
    "LoKr, whole": Written("lokr", {"lokr_w1": (3, 4), "lokr_w2": (4, 4)}, (), None),
    "full": Written("full", {"diff": (OUT, IN, *KERNEL)}, (), None),
}
GAUGED = [name for name, way in WAYS.items() if way.pairs]
INFLATED = [name for name, way in WAYS.items() if way.alpha_rank]


def random(way: Written, seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    return {
        role: rng.standard_normal(shape).astype("f4")
        for role, shape in way.shapes.items()
    }


def build(way: Written, arrays: Arrays, alpha: float | None = None) -> Update:
    assert FAMILIES[way.family].fits({role: a.shape for role, a in arrays.items()})
    update = FAMILIES[way.family].build(arrays, Alpha(alpha))
    assert isinstance(update, Update)
    return update


def assert_same(first: Update, second: Update, tolerance: float = 1e-5) -> None:
    """Norm, singular values and inner products, relative to the update's size."""
    norm = np.sqrt(first.squared_norm())
    other = np.random.default_rng(0).standard_normal(first.shape)
    probe = FAMILIES["full"].build({"diff": other / np.linalg.norm(other)}, Alpha())
    assert isinstance(probe, Update)
    count = min(first.shape)
    spectra = [np.pad(spectrum(u), (0, count))[:count] for u in (first, second)]
    for a, b in (
        (norm, np.sqrt(second.squared_norm())),
        (inner(first, second) / norm, norm),
        (inner(first, probe), inner(second, probe)),
        (spectra[0], spectra[1]),
    ):
        np.testing.assert_allclose(a, b, atol=tolerance * float(norm))


def multiplied(array: np.ndarray, axis: int, matrix: np.ndarray) -> np.ndarray:
    """The axis of the array goes through the matrix `[new, old]`."""
    found = np.moveaxis(np.tensordot(matrix, array, (1, axis)), 0, axis)
    return np.ascontiguousarray(found.astype("f4"))


seeds = st.integers(0, 2**32)
quick = settings(deadline=None, max_examples=15)


@quick
@given(st.sampled_from(GAUGED), seeds)
def test_gauge(name: str, seed: int):
    """(up·G, G⁻¹·down), and the same on either side of a core."""
    way = WAYS[name]
    arrays, rng = random(way, seed), np.random.default_rng(seed)
    changed = dict(arrays)
    for (first, i), (second, j) in way.pairs:
        rank = arrays[first].shape[i]
        gauge, _ = np.linalg.qr(rng.standard_normal((rank, rank)))
        gauge *= np.exp(rng.uniform(-1, 1, rank))
        changed[first] = multiplied(changed[first], i, gauge.T)
        changed[second] = multiplied(changed[second], j, np.linalg.inv(gauge))
    assert_same(build(way, arrays), build(way, changed))


@quick
@given(st.sampled_from(INFLATED), seeds, st.booleans())
def test_rank(name: str, seed: int, redundant: bool):
    """Pairs of which one half is zero, or one pair written as two."""
    way = WAYS[name]
    arrays, alpha = random(way, seed), 2.0
    changed = dict(arrays)
    for (first, i), (second, j) in way.pairs:
        rank = arrays[first].shape[i]
        more = np.eye(rank + 1, rank)
        less = more.copy()
        if redundant:
            more[rank, 0], less[0, 0], less[rank, 0] = 1, 0.25, 0.75
        else:
            more[rank] = 1
        changed[first] = multiplied(changed[first], i, more)
        changed[second] = multiplied(changed[second], j, less)
    assert way.alpha_rank is not None
    role, axis = way.alpha_rank
    grown = alpha * changed[role].shape[axis] / arrays[role].shape[axis]
    assert_same(build(way, arrays, alpha), build(way, changed, grown))


@quick
@given(st.sampled_from(list(WAYS)), seeds, st.sampled_from(list(TOLERANCE)))
def test_number_format(name: str, seed: int, dtype: np.dtype):
    way = WAYS[name]
    arrays = random(way, seed)
    half = {role: array.astype(dtype) for role, array in arrays.items()}
    assert_same(build(way, arrays), build(way, half), 2 * TOLERANCE[dtype])


@quick
@given(st.sampled_from(list(WAYS)), seeds, st.floats(0.1, 10), st.data())
def test_scale_in_any_factor(name: str, seed: int, scale: float, data: st.DataObject):
    """alpha, or the same factor multiplied into any one of the tensors."""
    way = WAYS[name]
    arrays = random(way, seed)
    roles = st.sampled_from(sorted(arrays))
    first, second = data.draw(roles), data.draw(roles)
    folded = {
        role: {**arrays, role: np.float32(scale) * arrays[role]}
        for role in (first, second)
    }
    assert_same(build(way, folded[first]), build(way, folded[second]))
    if way.alpha_rank is not None:
        role, axis = way.alpha_rank
        alpha = scale * arrays[role].shape[axis]
        assert_same(build(way, arrays, alpha), build(way, folded[first]))


@pytest.mark.parametrize("name", WAYS)
def test_the_probe_tells_different_updates_apart(name: str):
    """What the other tests compare is no constant."""
    way = WAYS[name]
    with pytest.raises(AssertionError):
        assert_same(build(way, random(way, 0)), build(way, random(way, 1)))


@quick
@given(seeds, st.sampled_from(["oft_blocks", "boft_blocks"]))
def test_symmetric_parts_of_a_rotation_do_not_show(seed: int, role: str):
    """Only blocks − blocksᵀ turns anything: the rest of them is a gauge of OFT."""
    rng = np.random.default_rng(seed)
    shape = (4, 4, 4) if role == "oft_blocks" else (2, 4, 4, 4)
    blocks, free = rng.standard_normal((2, *shape))
    free = free + np.swapaxes(free, -1, -2)
    weight = rng.standard_normal((16, 5, 3)).astype("f4")
    changes = []
    for array in (blocks, blocks + free):
        operator = FAMILIES[role[:-7]].build({role: array}, Alpha(0.05))
        assert isinstance(operator, Operator)
        changes.append(operator.delta_weight(weight))
    np.testing.assert_allclose(changes[0], changes[1], atol=1e-5)


@quick
@given(seeds, st.sampled_from(["out", "in"]))
def test_gauge_of_a_direction_does_not_show_beside_its_magnitudes(
    seed: int, axis: Axis
):
    rng = np.random.default_rng(seed)
    way = WAYS["convolution"]
    arrays = random(way, seed)
    changed = {"up": -2 * arrays["up"], "down": arrays["down"] / -2}
    weight = rng.standard_normal((OUT, IN, *KERNEL)).astype("f4")
    magnitudes = Magnitude(rng.uniform(1, 2, OUT if axis == "out" else IN), axis)
    first, second = (
        decomposed(weight, build(way, a).dense(), magnitudes) for a in (arrays, changed)
    )
    np.testing.assert_allclose(first, second, atol=1e-5)
