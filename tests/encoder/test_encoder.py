"""The encoder: masks, starts, ablations, sizes."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx

from lorajax.config import EncoderSettings
from lorajax.encoder.embedder import TrainedEncoder, initial_encoder, params_state
from lorajax.encoder.model import Encoder
from lorajax.errors import EncoderError
from lorajax.projection.features import Features, flattened, normalised

MODULES, COMPONENTS = 5, 8
SMALL = {"width": 8, "layers": 2, "heads": 2, "ffn": 16, "layer_weights_hidden": 4}
LENGTHS = np.ones(MODULES, "f4")


def features(count: int = 6, seed: int = 0) -> Features:
    rng = np.random.default_rng(seed)
    mask = rng.random((count, MODULES)) < 0.8
    mask[:, 0] = True
    scores = rng.standard_normal((count, MODULES, COMPONENTS)).astype("f4")
    return Features(scores * mask[..., None], mask)


def encoder(seed: int = 0, **changes: object) -> TrainedEncoder:
    settings = EncoderSettings.model_validate({**SMALL, **changes})
    return initial_encoder(settings, MODULES, COMPONENTS, LENGTHS, seed)


VARIANTS = [
    {"start": "random"},
    {"start": "random", "positions": False},
    {"start": "random", "layer_weights": "mean"},
    {"start": "random", "positions": False, "layer_weights": "mean"},
    {"start": "geometry"},
    {"start": "geometry", "layers": 0, "layer_weights": "mean"},
    {"start": "geometry", "values": "mapped", "normalise": "root"},
]


@pytest.mark.parametrize("changes", VARIANTS)
def test_masked_modules_have_no_influence(changes: dict) -> None:
    made, given = encoder(**changes), features()
    noise = np.random.default_rng(9).standard_normal(given.scores.shape).astype("f4")
    absent = ~given.mask[..., None]
    filled = Features(np.where(absent, noise, given.scores), given.mask)
    np.testing.assert_allclose(made.embed(given), made.embed(filled), atol=1e-6)


@pytest.mark.parametrize("changes", VARIANTS)
def test_embeddings_are_unit_vectors_whatever_the_batch(changes: dict) -> None:
    made, given = encoder(**changes), features(67)  # more than one piece, one short
    vectors = made.embed(given)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    alone = np.concatenate([made.embed(given[i : i + 1]) for i in (0, 40, 66)])
    np.testing.assert_allclose(vectors[[0, 40, 66]], alone, atol=1e-6)


def test_geometry_starts_near_the_unlearned_cosines() -> None:
    wide = encoder(start="geometry", width=512, heads=4)
    given = features(40)
    unlearned = flattened(normalised(given, "unit", LENGTHS))
    vectors = wide.embed(given)
    error = vectors @ vectors.T - unlearned @ unlearned.T
    assert np.abs(error).max() < 0.2 and np.sqrt((error**2).mean()) < 0.06


def test_a_transformer_that_decides_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="without effect"):
        EncoderSettings(values="mapped", layers=1, layer_weights="mean")
    assert EncoderSettings(values="mapped", layers=0, layer_weights="mean").layers == 0


def test_mapped_values_are_a_weighted_sum_of_the_modules_own_vectors() -> None:
    """With weights of one channel known, the embedding follows by plain arithmetic."""
    made = encoder(start="geometry", values="mapped", normalise="none")
    rng = np.random.default_rng(3)
    shaken = {
        name: array + 0.3 * rng.standard_normal(array.shape).astype("f4")
        for name, array in made.params.items()
    }
    made = dataclasses.replace(made, params=shaken)
    given = features(6)
    model = nnx.merge(made.graph, params_state(made.graph, shaken))
    mapped = np.einsum("bnk,nke->bne", given.scores, shaken["module_maps"])
    h = jax.numpy.asarray(mapped + shaken["positions"])
    mask = jax.numpy.asarray(given.mask)
    for block in model.blocks:
        h = block(h, mask, None)
    weights = np.asarray(model.layer_weights(h, mask, None))
    pooled = (weights * mapped * given.mask[..., None]).sum(1)
    expected = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    np.testing.assert_allclose(made.embed(given), expected, atol=1e-5)


def test_layer_weights_are_a_softmax_over_live_layers() -> None:
    settings = EncoderSettings.model_validate({**SMALL, "start": "random"})
    model = Encoder(settings, MODULES, COMPONENTS, nnx.Rngs(params=0))
    given = features()
    weights = np.asarray(
        model.layer_weights(
            jax.numpy.asarray(given.scores), jax.numpy.asarray(given.mask), None
        )
    )
    np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-5)
    assert (weights[~given.mask] == 0).all()
    assert weights.std(axis=2).max() > 0  # a weight per channel, not per layer


def test_paper_sizes_have_the_papers_parameter_counts() -> None:
    settings = EncoderSettings(start="random", normalise="none", layers=4)
    shapes = nnx.eval_shape(lambda: Encoder(settings, 264, 256, nnx.Rngs(params=0)))
    sizes = {
        "/".join(map(str, path)): int(np.prod(leaf.shape))
        for path, leaf in nnx.to_flat_state(nnx.state(shapes, nnx.Param))
    }
    aggregator = sum(v for k, v in sizes.items() if k.startswith("layer_weights"))
    assert round(aggregator / 1e6, 3) == 0.066
    assert round((sum(sizes.values()) - aggregator) / 1e6, 3) == 2.176


def test_noise_only_when_training() -> None:
    settings = EncoderSettings.model_validate(
        {**SMALL, "start": "random", "dropout": 0.5, "module_dropout": 0.5}
    )
    model = Encoder(settings, MODULES, COMPONENTS, nnx.Rngs(params=0))
    given = features()
    scores, mask = jax.numpy.asarray(given.scores), jax.numpy.asarray(given.mask)
    quiet = [np.asarray(model(scores, mask)) for _ in range(2)]
    noisy = [np.asarray(model(scores, mask, nnx.Rngs(dropout=i))) for i in range(2)]
    np.testing.assert_array_equal(quiet[0], quiet[1])
    assert not np.allclose(noisy[0], noisy[1])


def test_one_seed_one_encoder() -> None:
    assert encoder(1).hash() == encoder(1).hash() != encoder(2).hash()


def test_features_of_another_basis_are_refused() -> None:
    with pytest.raises(EncoderError, match="5 modules x 8 components, found 4 x 8"):
        encoder().embed(Features(np.zeros((1, 4, 8), "f4"), np.ones((1, 4), bool)))
    with pytest.raises(EncoderError, match="found 8 and 16"):
        encoder(start="random", width=16)
