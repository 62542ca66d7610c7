"""One LoRA's training: it stops, goes on, and ends where it would have ended."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from lorajax.errors import ZooError
from lorajax.zoo.base.scenes import captions, draw, sample_scenes, tokenise
from lorajax.zoo.base.shipped import load_base
from lorajax.zoo.lora.parametrisations import TARGETS
from lorajax.zoo.lora.training import Pictures, Plan
from lorajax.zoo.own.kept_training import Order
from lorajax.zoo.own.single_training import Trained, TrainingStopped, train_one

PARAMS = load_base()
PLAN = Plan("lora", "cross", 2, 2.0, 5e-3, steps=6, seed=3)


def pictures(seed: int = 0) -> Pictures:
    scenes = sample_scenes(np.random.default_rng(seed), 3)
    return Pictures(draw(scenes), tokenise(captions(scenes)))


def order(folder: Path, **changed) -> Order:
    made = Order(PLAN, pictures(), batch_size=2, state_path=folder / "x.training")
    return replace(made, **changed)


def stopping_after(steps: int):
    asked = iter(range(1, 1000))
    return lambda: next(asked) >= steps


def stop(wanted: Order, steps: int, **options) -> None:
    with pytest.raises(TrainingStopped, match=r"stopped after .* of 6 steps"):
        train_one(PARAMS, wanted, should_stop=stopping_after(steps), **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Trained:
    return train_one(PARAMS, order(tmp_path_factory.mktemp("whole")))


def test_it_learns_its_targets_at_its_rank(whole):
    assert set(whole.weights) == set(TARGETS["cross"])
    assert whole.losses.shape == (6,) and np.isfinite(whole.losses).all()
    assert whole.went_on_from == 0
    for own in whole.weights.values():
        assert own["down"].shape[0] == own["up"].shape[1] == 2
        assert np.abs(own["up"]).max() > 0


def test_stopped_and_continued_is_the_same_to_the_last_bit(whole, tmp_path):
    stop(order(tmp_path), 2)
    stop(order(tmp_path), 1, keep_every=1)
    seen = []
    again = train_one(PARAMS, order(tmp_path), lambda done, losses: seen.append(done))
    assert again.went_on_from == 3 and seen == [3, 4, 5, 6]
    np.testing.assert_array_equal(again.losses, whole.losses)
    for module, own in whole.weights.items():
        for name, array in own.items():
            np.testing.assert_array_equal(again.weights[module][name], array)


def test_a_request_at_the_last_step_stops_nothing(tmp_path):
    train_one(PARAMS, order(tmp_path), should_stop=stopping_after(6))


def test_a_finished_training_is_kept_until_its_result_is_written(whole, tmp_path):
    train_one(PARAMS, order(tmp_path))
    again = train_one(PARAMS, order(tmp_path))
    assert again.went_on_from == 6
    np.testing.assert_array_equal(again.losses, whole.losses)
    for module, own in whole.weights.items():
        for name, array in own.items():
            np.testing.assert_array_equal(again.weights[module][name], array)


def test_another_training_is_refused_with_what_differs(tmp_path):
    stop(order(tmp_path), 1)
    other = replace(PLAN, learning_rate=1e-3, steps=7)
    told = "learning_rate 0.005, not 0.001, steps 6, not 7"
    with pytest.raises(ZooError, match=told) as caught:
        train_one(PARAMS, order(tmp_path, plan=other))
    assert "--force" in caught.value.hint
    with pytest.raises(ZooError, match="found another: pictures"):
        train_one(PARAMS, order(tmp_path, pictures=pictures(1)))
    assert train_one(PARAMS, order(tmp_path, plan=other, anew=True)).went_on_from == 0


def test_a_damaged_state_is_refused(tmp_path):
    stop(order(tmp_path), 1)
    path = tmp_path / "x.training"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ZooError, match="found damage"):
        train_one(PARAMS, order(tmp_path))
    assert train_one(PARAMS, order(tmp_path, anew=True)).went_on_from == 0


@pytest.mark.parametrize("missing", ["plan", "pictures", "version"])
def test_a_state_that_does_not_say_what_it_is_of_is_refused(missing, tmp_path):
    stop(order(tmp_path), 1)
    path = tmp_path / "x.training"
    with safe_open(path, "np") as file:
        names = file.keys()
        tensors = {name: file.get_tensor(name) for name in names}
        metadata = file.metadata()
    del metadata[missing]
    save_file(tensors, path, metadata)
    with pytest.raises(ZooError, match=f"found another: {missing}"):
        train_one(PARAMS, order(tmp_path))


def test_a_place_that_cannot_be_written_to_is_found_before_training(tmp_path):
    steps = []
    with pytest.raises(ZooError, match="expected a place to write to"):
        train_one(
            PARAMS,
            order(tmp_path / "nowhere"),
            lambda done, losses: steps.append(done),
        )
    assert steps == []


def test_a_diverging_training_says_so(tmp_path):
    wild = replace(PLAN, learning_rate=1e30)
    with pytest.raises(ZooError, match="diverged") as caught:
        train_one(PARAMS, order(tmp_path, plan=wild))
    assert "lower --lr" in caught.value.hint
    assert not (tmp_path / "x.training").exists()
