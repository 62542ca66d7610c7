"""The LoRA trainer: it learns, repeats itself, and pads without a trace."""

from dataclasses import replace

import numpy as np
import pytest

from lorajax.config.zoo import ZooSettings
from lorajax.zoo.base import load_base
from lorajax.zoo.lora_training import (
    held_out_losses,
    init_lora,
    pad,
    stack,
    train_loras,
    training_pictures,
)
from lorajax.zoo.model import Factors
from lorajax.zoo.recipes import MAX_RANK, Recipe, make_recipes

PARAMS = load_base()
RECIPES = [
    replace(recipe, rank=rank, alpha=float(rank), steps=steps, images=12)
    for recipe, rank, steps in zip(
        make_recipes(ZooSettings(styles=4, loras_per_style=1)),
        (1, 2, 4, 8),
        (12, 12, 12, 6),
        strict=True,
    )
]


@pytest.fixture(scope="module")
def trained() -> list[dict[str, Factors]]:
    return train_loras(PARAMS, RECIPES, batch_size=4)


def test_training_lowers_the_loss_on_scenes_never_seen(trained):
    loras = [pad(f, r.scale) for f, r in zip(trained, RECIPES, strict=True)]
    before = held_out_losses(PARAMS, RECIPES, None, count=16)
    after = held_out_losses(PARAMS, RECIPES, stack(loras), count=16)
    assert (after < before).all()


def test_every_lora_has_its_own_rank_and_all_of_it_is_used(trained):
    for factors, recipe in zip(trained, RECIPES, strict=True):
        assert len(factors) == 36
        for down, up in factors.values():
            assert down.shape[0] == up.shape[1] == recipe.rank <= MAX_RANK
            assert np.linalg.matrix_rank(up.astype(float) @ down) == recipe.rank


def test_a_seed_repeats_its_lora_whatever_its_neighbours(trained):
    """Order in the group, and what ran longer beside it, leave no mark."""
    again = train_loras(PARAMS, RECIPES[::-1], batch_size=4)[::-1]
    for one, other in zip(trained, again, strict=True):
        for name, (down, up) in one.items():
            np.testing.assert_allclose(other[name].down, down, atol=1e-3)
            np.testing.assert_allclose(other[name].up, up, atol=1e-3)


def test_shared_down_is_one_beginning_and_own_down_is_not():
    def beginning(recipe: Recipe, shared: bool) -> np.ndarray:
        lora = init_lora(replace(recipe, rank=2, shared_down=shared))
        return np.asarray(next(iter(lora.factors.values())).down[:2])

    a, b = RECIPES[:2]
    np.testing.assert_array_equal(beginning(a, True), beginning(b, True))
    assert not np.allclose(beginning(a, False), beginning(b, False))


def test_training_pictures_follow_seed_and_salt():
    recipe = RECIPES[0]
    first, tokens = training_pictures(recipe, count=4)
    again, _ = training_pictures(recipe, count=4)
    other, _ = training_pictures(recipe, count=4, salt=1)
    np.testing.assert_array_equal(first, again)
    assert tokens.shape == (4, 8)
    assert not np.array_equal(first, other)
