"""Losses, one step, and a training that stops and goes on."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from lorajax.config import EncoderSettings, EvaluationSettings, TrainingSettings
from lorajax.config.training import LossWeights
from lorajax.dataset.splits import make_split
from lorajax.dataset.supervision import Supervision, from_labels, from_triplets
from lorajax.encoder.embedder import TrainedEncoder, initial_encoder, params_state
from lorajax.errors import DatasetError
from lorajax.evaluation.metrics import cosines, measure, triplet_accuracy
from lorajax.evaluation.results import truth_of
from lorajax.projection.features import Features
from lorajax.training.batches import draw_batch, feedable
from lorajax.training.checkpoints import open_checkpoints
from lorajax.training.fit import Stopped, Task, fit
from lorajax.training.losses import cosine_triplet_loss
from lorajax.training.losses.total import Truths, total_loss
from lorajax.training.step import augmented

STYLES, EACH, MODULES, WIDTH = 12, 5, 4, 8
ENCODER = EncoderSettings(width=WIDTH, layers=1, heads=2, ffn=8, module_dropout=0.0)
TRAINING = TrainingSettings(
    steps=12, batch_triplets=128, validate_every=4, checkpoint_every=5
)


def test_loss_equals_the_formula() -> None:
    rng = np.random.default_rng(0)
    raw = rng.standard_normal((7, 5))
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    triplets = rng.integers(7, size=(30, 3))
    losses, right = [], []
    for a, p, n in triplets:
        near, far = 1 - unit[a] @ unit[p], 1 - unit[a] @ unit[n]
        losses.append(max(near - far + 0.3, 0.0))
        right.append(near < far)
    mean, accuracy = cosine_triplet_loss(jnp.asarray(unit), jnp.asarray(triplets), 0.3)
    active, _ = cosine_triplet_loss(
        jnp.asarray(unit), jnp.asarray(triplets), 0.3, "active"
    )
    np.testing.assert_allclose(mean, np.mean(losses), rtol=1e-5)
    np.testing.assert_allclose(active, np.mean([x for x in losses if x > 0]), rtol=1e-5)
    np.testing.assert_allclose(accuracy, np.mean(right), rtol=1e-6)


def test_solved_triplets_give_no_gradient() -> None:
    embeddings = jnp.asarray([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    triplets = jnp.asarray([[0, 1, 2]])
    for reduction in ("mean", "active"):
        gradient = jax.grad(
            lambda e, how=reduction: cosine_triplet_loss(e, triplets, 0.3, how)[0]
        )(embeddings)
        assert not np.asarray(gradient).any()


@pytest.fixture(scope="module")
def world() -> tuple[Features, Supervision]:
    """Styles that one of four modules tells and the others hide in noise."""
    rng = np.random.default_rng(1)
    style = np.repeat(rng.standard_normal((STYLES, WIDTH)), EACH, axis=0)
    scores = 2.0 * rng.standard_normal((STYLES * EACH, MODULES, WIDTH))
    scores[:, 2] = style + 0.4 * rng.standard_normal(style.shape)
    mask = np.ones(scores.shape[:2], bool)
    labels = [f"s{i // EACH:02d}" for i in range(len(scores))]
    return Features(scores.astype("f4"), mask), from_labels(labels, "")


def task(world: tuple[Features, Supervision], **changes: Any) -> Task:
    features, supervision = world
    evaluation = EvaluationSettings(triplets=500)
    split = make_split(supervision, evaluation, 0)
    assert split is not None
    truth = truth_of(supervision, split.validation, evaluation, 0)
    given: dict[str, Any] = {
        "features": features,
        "supervision": supervision,
        "split": split,
        "training": TRAINING,
        "seed": 0,
        "measure": partial(measure, truth=truth),
        "on_metrics": lambda metrics: None,
        "should_stop": lambda: False,
    }
    return Task(**{**given, **changes})


def start() -> TrainedEncoder:
    return initial_encoder(ENCODER, MODULES, WIDTH, np.ones(MODULES, "f4"), 0)


def run(given: Task, folder: Path) -> TrainedEncoder:
    with open_checkpoints(folder) as checkpoints:
        return fit(given, start(), checkpoints)


def test_training_learns_which_module_tells(
    world: tuple[Features, Supervision], tmp_path: Path
) -> None:
    lines: list[dict[str, Any]] = []
    longer = TRAINING.model_copy(
        update={"steps": 48, "learning_rate": 3e-2, "branch_rate": 0.1}
    )
    given = task(world, on_metrics=lines.append, training=longer)
    trained = run(given, tmp_path)
    test = given.split.test
    labels = np.array(world[1].labels)[test]
    triplets = np.array(
        [
            (a, p, n)
            for a in range(len(test))
            for p in range(len(test))
            for n in range(len(test))
            if labels[a] == labels[p] != labels[n] and a != p
        ]
    )
    before, after = (
        triplet_accuracy(cosines(e.embed(world[0][test])), triplets)
        for e in (start(), trained)
    )
    assert after > before + 0.05
    steps = [line for line in lines if line["kind"] == "train"]
    assert [line["step"] for line in steps] == list(range(1, 49))
    assert steps[-1]["loss"] < steps[0]["loss"]
    validations = [line["step"] for line in lines if line["kind"] == "validation"]
    assert validations == list(range(0, 49, 4))


# One of each kind; what the others do to vectors, test_losses says.
LOSSES = ["supervised_contrastive", "proxy_anchor", "listnet"]


@pytest.mark.parametrize("loss", LOSSES)
def test_every_kind_of_loss_learns_unseen_styles(
    world: tuple[Features, Supervision], tmp_path: Path, loss: str
) -> None:
    """Each teaches which module tells, and says what it was worth at every step."""
    lines: list[dict[str, Any]] = []
    update: dict[str, Any] = {
        "losses": LossWeights(**{loss: 1.0}),
        "steps": 48,
        "learning_rate": 3e-2,
        "branch_rate": 0.1,
        "select": ("triplet_accuracy", "map@10"),
    }
    given = task(
        world, on_metrics=lines.append, training=TRAINING.model_copy(update=update)
    )
    trained = run(given, tmp_path)
    test = given.split.test
    truth = truth_of(world[1], test, EvaluationSettings(triplets=2000), 0)
    before, after = (
        measure(e.embed(world[0][test]), truth) for e in (start(), trained)
    )
    assert after["triplet_accuracy"] > before["triplet_accuracy"]
    assert after["map@10"] > before["map@10"]
    steps = [line for line in lines if line["kind"] == "train"]
    assert steps[-1][loss] < steps[0][loss] and "accuracy" not in steps[0]


@pytest.mark.parametrize("reduction", ["mean", "active"])
def test_encoding_once_is_the_paper_loop_of_three(
    world: tuple[Features, Supervision], reduction: Literal["mean", "active"]
) -> None:
    """One forward pass of a batch gives the gradient of three for every triplet."""
    features, _ = world
    rng = np.random.default_rng(5)
    triplets = rng.integers(len(features), size=(40, 3))
    settings = TRAINING.model_copy(update={"reduction": reduction})
    encoder = start()
    state = params_state(encoder.graph, encoder.params)
    scores, mask = jnp.asarray(features.scores), jnp.asarray(features.mask)
    truths = Truths(
        jnp.asarray(triplets, jnp.int32),
        jnp.zeros(len(features), jnp.int32),
        jnp.zeros((len(features),) * 2),
        jnp.ones(len(features), bool),
    )

    def once(params: nnx.State) -> jax.Array:
        vectors = nnx.merge(encoder.graph, params)(scores, mask)
        return total_loss(vectors, jnp.zeros((1, WIDTH)), truths, settings)[0]

    def thrice(params: nnx.State) -> jax.Array:
        model = nnx.merge(encoder.graph, params)
        a, p, n = (model(scores[own], mask[own]) for own in triplets.T)
        near, far = 1 - jnp.sum(a * p, -1), 1 - jnp.sum(a * n, -1)
        losses = jax.nn.relu(near - far + settings.margin)
        count = (losses > 0).sum() if reduction == "active" else len(losses)
        return losses.sum() / count

    ours, theirs = (jax.jit(jax.value_and_grad(loss))(state) for loss in (once, thrice))
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5)
    for one, other in zip(*map(jax.tree.leaves, (ours[1], theirs[1])), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_losses_that_nothing_feeds_are_left_out() -> None:
    wanted = LossWeights(supervised_contrastive=1.0, listnet=2.0)
    styles = from_labels(["a", "a", "b"], "")
    assert feedable(wanted, styles) == wanted
    triplets = from_triplets("triplets", 3, np.array([[0, 1, 2]]), "")
    assert feedable(wanted, triplets) == LossWeights(triplet=1.0)
    unnamed = replace(styles, labels=(None,) * 3)
    assert feedable(wanted, unnamed) == LossWeights(listnet=2.0)


def test_augmentations_are_in_proportion_and_may_be_none() -> None:
    scores = jnp.asarray(np.random.default_rng(0).standard_normal((3, 4, 5000)), "f4")
    scores *= jnp.asarray([1.0, 10.0, 0.1, 0.0])[:, None]
    key = jax.random.key(0)
    assert augmented(scores, TRAINING, key) is scores
    noisy = TRAINING.model_copy(update={"noise": 0.2})
    added = np.asarray(augmented(scores, noisy, key) - scores)
    size = np.sqrt((np.asarray(scores) ** 2).mean(-1))
    np.testing.assert_allclose(added.std(-1), 0.2 * size, rtol=0.05, atol=1e-7)
    many = jnp.ones((4000, 2, 3))
    louder = TRAINING.model_copy(update={"scale_jitter": 0.5})
    factors = np.log(np.asarray(augmented(many, louder, key)))
    assert np.ptp(factors, axis=(1, 2)).max() == 0  # one factor for all of a LoRA
    np.testing.assert_allclose(factors.std(), 0.5, rtol=0.05)


def other_view(features: Features) -> Features:
    """Scores and masks that no LoRA has by itself."""
    mask = features.mask.copy()
    mask[:, 0] = False
    return Features(features.scores + 100.0, mask)


def test_a_share_of_every_batch_is_seen_as_its_variant(
    world: tuple[Features, Supervision],
) -> None:
    features, supervision = world
    train, variants = np.arange(len(features)), other_view(features)
    shares = []
    for seed in range(20):
        plain, halved = (
            draw_batch(
                features,
                supervision,
                train,
                TRAINING.model_copy(update={"truncation": share}),
                np.random.default_rng(seed),
                variants,
            )
            for share in (0.0, 0.25)
        )
        assert plain is not None and halved is not None
        np.testing.assert_array_equal(plain.scores, features.scores)
        np.testing.assert_array_equal(plain.truths.triplets, halved.truths.triplets)
        swapped = ~np.asarray(halved.mask[:, 0])  # each wholly the one or the other
        expected = np.where(
            swapped[:, None, None], variants.scores, np.asarray(plain.scores)
        )
        np.testing.assert_array_equal(halved.scores, expected)
        shares.append(swapped.mean())
    assert abs(np.mean(shares) - 0.25) < 0.04 and np.std(shares) > 0


def test_a_share_without_variants_is_a_mistake(
    world: tuple[Features, Supervision],
) -> None:
    features, supervision = world
    settings = TRAINING.model_copy(update={"truncation": 0.5})
    rng, train = np.random.default_rng(0), np.arange(len(features))
    with pytest.raises(ValueError, match=r"variants for training\.truncation=0\.5"):
        draw_batch(features, supervision, train, settings, rng)


def test_a_stopped_training_goes_on_to_the_same_end(
    world: tuple[Features, Supervision], tmp_path: Path
) -> None:
    """Also where it draws which LoRAs are seen as their variants."""
    given: dict[str, Any] = {
        "training": TRAINING.model_copy(update={"truncation": 0.5}),
        "variants": other_view(world[0]),
    }
    whole = run(task(world, **given), tmp_path / "whole")
    asked = iter([False] * 6 + [True])
    with pytest.raises(Stopped, match="stopped at step 7 of 12"):
        run(task(world, should_stop=lambda: next(asked), **given), tmp_path / "halves")
    resumed: list[dict[str, Any]] = []
    again = run(task(world, on_metrics=resumed.append, **given), tmp_path / "halves")
    assert next(m["step"] for m in resumed if m["kind"] == "train") == 8
    for name, array in whole.params.items():
        np.testing.assert_array_equal(again.params[name], array)


def test_no_triplets_no_training(
    world: tuple[Features, Supervision], tmp_path: Path
) -> None:
    features, _ = world
    alone = from_labels([f"s{i}" for i in range(len(features))], "")
    given = task(world, supervision=alone)
    with (
        open_checkpoints(tmp_path) as checkpoints,
        pytest.raises(DatasetError, match="nothing to order"),
    ):
        fit(given, start(), checkpoints)


def test_large_collections_are_drawn_in_batches_that_hold_triplets(
    world: tuple[Features, Supervision],
) -> None:
    features, supervision = world
    train = np.arange(len(features))
    small = TRAINING.model_copy(update={"batch_loras": 6})
    for seed in range(30):
        rng = np.random.default_rng(seed)
        batch = draw_batch(features, supervision, train, small, rng)
        assert batch is not None and len(batch.mask) == 6
