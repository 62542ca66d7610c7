"""The picture model: its table, its flow, and the LoRA path against dense weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lorajax.naming.zoo import MODULES, TABLE
from lorajax.zoo.base.model import Factors, init_params, velocity
from lorajax.zoo.base.scenes import SIDE, captions, sample_scenes, tokenise
from lorajax.zoo.base.shipped import load_base
from lorajax.zoo.lora.drawing import draw_pictures

VELOCITY = jax.jit(velocity)
KEY = jax.random.key(0)
PARAMS = init_params(KEY)
X = jax.random.normal(KEY, (3, SIDE, SIDE, 3))
T = jnp.array([0.1, 0.5, 0.9])
TOKENS = jnp.asarray(tokenise(captions(sample_scenes(np.random.default_rng(0), 3))))


def random_lora(modules=MODULES, rank: int = 3, seed: int = 0) -> dict[str, Factors]:
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> jax.Array:
        return jnp.asarray(rng.normal(size=shape) * 0.1, jnp.float32)

    return {
        m.name: Factors(draw(rank, *m.shape[1:]), draw(m.shape[0], rank) / 2)
        for m in modules
    }


def dense(lora: dict[str, Factors]) -> dict[str, np.ndarray]:
    """up @ down of every module, in plain numpy."""
    return {
        name: np.asarray(up) @ np.asarray(down).reshape(len(down), -1)
        for name, (down, up) in lora.items()
    }


def merged(params: dict, lora: dict[str, Factors]) -> dict:
    """Base weights + the dense updates."""
    weights = dict(params)
    for name, delta in dense(lora).items():
        weight = params[f"{name}.weight"]
        weights[f"{name}.weight"] = weight + delta.reshape(weight.shape)
    return weights


def test_the_table_names_every_weight_a_lora_may_update():
    assert len(TABLE) == 46
    for module in MODULES:
        assert PARAMS[f"{module.name}.weight"].shape == module.shape
    assert sum(".attentions." in module.name for module in MODULES) == 36


def test_a_lora_acts_as_its_dense_update_on_every_kind_of_module():
    lora = random_lora()
    through_factors = VELOCITY(PARAMS, X, T, TOKENS, lora)
    beside_weights = VELOCITY(PARAMS, X, T, TOKENS, dense(lora))
    through_weights = VELOCITY(merged(PARAMS, lora), X, T, TOKENS)
    np.testing.assert_allclose(through_factors, through_weights, atol=2e-4)
    np.testing.assert_allclose(beside_weights, through_weights, atol=2e-4)
    assert abs(through_factors - VELOCITY(PARAMS, X, T, TOKENS)).max() > 1e-2


def test_many_loras_at_once_act_as_each_alone():
    modules = MODULES[:6]
    loras = [random_lora(modules, seed=seed) for seed in range(2)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *loras)
    axes = (None, None, None, None, 0)
    together = jax.vmap(VELOCITY, in_axes=axes)(PARAMS, X, T, TOKENS, stacked)
    for lora, result in zip(loras, together, strict=True):
        alone = VELOCITY(PARAMS, X, T, TOKENS, lora)
        np.testing.assert_allclose(result, alone, atol=1e-4)


def test_an_untrained_lora_changes_nothing():
    lora = random_lora()
    zero = {n: Factors(down, 0 * up) for n, (down, up) in lora.items()}
    unchanged = VELOCITY(PARAMS, X, T, TOKENS, zero)
    np.testing.assert_allclose(unchanged, VELOCITY(PARAMS, X, T, TOKENS), atol=1e-6)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("large red square center white", (0.9, 0.12, 0.15)),
        ("large blue square center sand", (0.12, 0.28, 0.9)),
    ],
)
def test_the_shipped_base_model_draws_what_the_caption_says(caption, expected):
    pictures = draw_pictures(load_base(), [caption] * 4, seed=0)
    middle = np.median(pictures[:, 12:20, 12:20], axis=(0, 1, 2))
    np.testing.assert_allclose((middle + 1) / 2, expected, atol=0.12)
