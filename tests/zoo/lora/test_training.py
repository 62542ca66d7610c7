"""The LoRA trainer: it learns, repeats itself, and pads without a trace."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from lorajax.config.zoo import ZooSettings
from lorajax.zoo.base.shipped import load_base
from lorajax.zoo.collection.recipes import (
    LEARNING_RATES,
    make_recipes,
    training_pictures,
)
from lorajax.zoo.lora.parametrisations import TARGETS, Weights
from lorajax.zoo.lora.training import (
    Pictures,
    Plan,
    held_out_losses,
    init_weights,
    pad,
    prepare,
    stack,
    train_loras,
)

PARAMS = load_base()
RECIPES = make_recipes(ZooSettings(styles=4, loras_per_style=1))
TARGETS_OF = ("attention", "projections", "cross", "attention")
PLANS = [
    replace(r.plan, rank=rank, alpha=float(rank), steps=steps, targets=targets)
    for r, rank, steps, targets in zip(
        RECIPES, (1, 2, 4, 8), (12, 12, 12, 6), TARGETS_OF, strict=True
    )
]
SETS = [training_pictures(recipe, 12) for recipe in RECIPES]
NEW = [training_pictures(recipe, 16, salt=1) for recipe in RECIPES]


@pytest.fixture(scope="module")
def trained() -> list[Weights]:
    return train_loras(PARAMS, PLANS, SETS, batch_size=4)


def losses(
    weights: list[Weights], plans: list[Plan], new: list[Pictures], scale: float
) -> np.ndarray:
    """On pictures never trained on, at a share of the LoRAs' own scales."""
    padded = stack([pad(w, p) for w, p in zip(weights, plans, strict=True)])
    scales = jnp.array([scale * plan.scale for plan in plans], jnp.float32)
    return held_out_losses(PARAMS, plans[0].family, padded, scales, new)


def test_training_lowers_the_loss_on_scenes_never_seen(trained):
    before, after = (losses(trained, PLANS, NEW, scale) for scale in (0.0, 1.0))
    assert (after < before).all()


@pytest.mark.slow
@pytest.mark.parametrize("family", ["locon", "loha", "lokr", "superlora"])
def test_every_family_learns(family):
    targets = "all" if family == "locon" else "attention"
    plan = replace(PLANS[1], family=family, targets=targets, rank=4, alpha=4.0)
    plan = replace(plan, learning_rate=max(LEARNING_RATES[family]), steps=30)
    trained = train_loras(PARAMS, [plan], SETS[1:2], batch_size=4)
    before, after = (losses(trained, [plan], NEW[1:2], s) for s in (0.0, 1.0))
    assert after < 0.6 * before


def test_every_lora_has_its_own_rank_and_targets_and_all_of_it_is_used(trained):
    for weights, plan in zip(trained, PLANS, strict=True):
        assert tuple(weights) == TARGETS[plan.targets]
        for own in weights.values():
            delta = own["up"].astype(float) @ own["down"]
            assert np.linalg.matrix_rank(delta) == plan.rank == len(own["down"])


def test_a_seed_repeats_its_lora_whatever_its_neighbours(trained):
    """Order in the group, and what ran longer beside it, leave no mark."""
    again = train_loras(PARAMS, PLANS[::-1], SETS[::-1], batch_size=4)[::-1]
    for one, other in zip(trained, again, strict=True):
        for name, own in one.items():
            for tensor, array in own.items():
                np.testing.assert_allclose(other[name][tensor], array, atol=1e-3)


def test_shared_down_is_one_beginning_and_own_down_is_not():
    def beginning(plan: Plan, shared: bool) -> np.ndarray:
        plan = replace(plan, rank=2, shared_down=shared)
        return np.asarray(init_weights(plan)[TARGETS["cross"][0]]["down"])[:2]

    a, b = PLANS[:2]
    np.testing.assert_array_equal(beginning(a, True), beginning(b, True))
    assert not np.allclose(beginning(a, False), beginning(b, False))


def test_plans_of_different_structure_are_refused():
    other = replace(PLANS[0], family="locon", targets="all")
    with pytest.raises(ValueError, match="one structure"):
        prepare([PLANS[0], other], SETS[:2])


def test_training_pictures_follow_seed_and_salt():
    recipe = RECIPES[0]
    first, again = training_pictures(recipe, 4), training_pictures(recipe, 4)
    other = training_pictures(recipe, 4, salt=1)
    np.testing.assert_array_equal(first.pictures, again.pictures)
    assert first.tokens.shape == (4, 8)
    assert not np.array_equal(first.pictures, other.pictures)
