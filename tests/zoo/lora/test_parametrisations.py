"""Parametrisations against plain NumPy: what they train is what their files say."""

import numpy as np
import pytest

from lorajax.adapters.superlora import permutation
from lorajax.zoo.lora.parametrisations import (
    FAMILIES,
    RANK_AXES,
    SHAPES,
    SUPER_SHUFFLE,
    TARGETS,
    Weights,
    cut_to,
    near_square,
    widen,
    zero_beyond,
)

NAMES = (
    "unet.down_blocks.0.attentions.0.proj_in",
    "unet.down_blocks.0.attentions.0.transformer_blocks.0.ff.net.0.proj",
    "unet.up_blocks.0.resnets.0.conv1",
)
SHAPES_OF = {name: SHAPES[name] for name in NAMES}


def random_weights(family: str, shapes: dict, rank: int = 3) -> Weights:
    """The family's tensors, all of them drawn, so that no update is zero."""
    rng = np.random.default_rng(0)
    return {
        module: {
            name: rng.normal(size=np.shape(array)).astype(np.float32)
            for name, array in own.items()
        }
        for module, own in FAMILIES[family].init(rng, shapes, rank).items()
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fresh_lora_changes_nothing_but_can_learn(family):
    names = TARGETS["attention"] if family == "superlora" else NAMES
    shapes = {name: SHAPES[name] for name in names}
    fresh = FAMILIES[family].init(np.random.default_rng(0), shapes, 2)
    for change in FAMILIES[family].change(fresh).values():
        np.testing.assert_array_equal(dense(change), 0)
    # One factor is zero and its partner is not, or no gradient would reach either.
    assert any(np.any(array) for own in fresh.values() for array in own.values())


def test_a_hadamard_update_is_the_product_of_two_low_rank_ones():
    weights = random_weights("loha", SHAPES_OF)
    for name, change in FAMILIES["loha"].change(weights).items():
        own = weights[name]
        expected = np.zeros((SHAPES[name][0], int(np.prod(SHAPES[name][1:]))))
        for i in range(len(expected)):
            first = own["hada_w1_a"][i] @ own["hada_w1_b"]
            second = own["hada_w2_a"][i] @ own["hada_w2_b"]
            expected[i] = first * second
        np.testing.assert_allclose(np.asarray(change), expected, rtol=1e-4, atol=1e-4)


def test_a_kronecker_update_is_numpys_kron():
    weights = random_weights("lokr", SHAPES_OF)
    for name, change in FAMILIES["lokr"].change(weights).items():
        own = weights[name]
        a, b = own["lokr_w2_a"], own["lokr_w2_b"]
        second = np.einsum("sr,rt...->st...", a, b)
        first = own["lokr_w1"].reshape(*own["lokr_w1"].shape, *(1,) * (second.ndim - 2))
        expected = np.kron(first, second)
        assert expected.shape == SHAPES[name]
        expected = expected.reshape(len(expected), -1)
        np.testing.assert_allclose(np.asarray(change), expected, rtol=1e-4, atol=1e-4)


def test_a_grouped_update_crosses_modules_in_shuffled_order():
    shapes = {name: SHAPES[name] for name in TARGETS["attention"]}
    weights = random_weights("superlora", shapes)
    changes = FAMILIES["superlora"].change(weights)
    assert tuple(changes) == TARGETS["attention"]
    joined = np.concatenate([np.asarray(c).ravel() for c in changes.values()])
    start = 0
    for group, part in enumerate(np.array_split(joined, 3)):
        own = weights[f"g{group}"]
        folded = (own["a0"] @ own["a1"].T).ravel()[: len(part)]
        order = permutation(SUPER_SHUFFLE, group, len(part))
        np.testing.assert_allclose(part, folded[order], rtol=1e-4, atol=1e-4)
        start += len(part)
    assert start == sum(int(np.prod(shape)) for shape in shapes.values())


@pytest.mark.parametrize("family", ["lora", "loha", "lokr"])
def test_padding_leaves_the_update_alone_and_cutting_takes_it_back(family):
    weights = random_weights(family, SHAPES_OF)
    wide = {name: widen(own, 8) for name, own in weights.items()}
    for name, own in weights.items():
        for tensor, array in cut_to(wide[name], 3).items():
            np.testing.assert_array_equal(array, own[tensor])
        for tensor, axis in RANK_AXES.items():
            assert tensor not in own or wide[name][tensor].shape[axis] == 8
    before, after = (FAMILIES[family].change(w) for w in (weights, wide))
    for name in weights:
        np.testing.assert_allclose(dense(after[name]), dense(before[name]), rtol=1e-4)


def dense(change) -> np.ndarray:
    if hasattr(change, "up"):
        return np.asarray(change.up @ change.down.reshape(len(change.down), -1))
    return np.asarray(change)


@pytest.mark.parametrize("family", ["lora", "loha", "lokr"])
def test_rank_zero_leaves_nothing(family):
    for own in random_weights(family, SHAPES_OF).values():
        for array in zero_beyond(own, 0).values():
            np.testing.assert_array_equal(array, 0)


@pytest.mark.parametrize(("count", "pair"), [(64, (8, 8)), (128, (8, 16)), (7, (1, 7))])
def test_near_square_factors(count, pair):
    assert near_square(count) == pair
