"""The exported graphs give what the encoder gives, whatever its settings."""

import sys

import jax
import numpy as np
import onnxruntime
import pytest
from jax import export

from lorajax.config import EncoderSettings
from lorajax.encoder.embedder import TrainedEncoder
from lorajax.errors import CheckpointError
from lorajax.export.jax_graph import PLATFORMS, jax_graph
from lorajax.export.model import param_shapes
from lorajax.export.onnx_graph import onnx_graph
from lorajax.projection.features import Features

MODULES, WIDTH = 5, 8
SETTINGS = [
    {"start": "geometry", "normalise": "unit"},
    {"start": "geometry", "normalise": "root", "values": "mapped"},
    {"start": "geometry", "layers": 0, "positions": False, "layer_weights": "mean"},
    {"start": "random", "normalise": "rms", "layers": 2},
    {"start": "random", "normalise": "none", "positions": False},
    {"start": "random", "normalise": "root", "layer_weights": "mean"},
]


def trained(changes: dict[str, object]) -> TrainedEncoder:
    """An encoder of random parameters: at its start the branches add nothing."""
    small = {"width": WIDTH, "layers": 1, "heads": 2, "ffn": 12}
    settings = EncoderSettings.model_validate({**small, **changes})
    components = 6 if settings.start == "geometry" else WIDTH
    rng = np.random.default_rng(1)
    params = {
        name: rng.normal(0, 0.5, shape).astype("f4")
        for name, shape in param_shapes(settings, MODULES, components).items()
    }
    lengths = np.array([0.5, 0.0, 2.0, 1.0, 3.0], "f4")
    return TrainedEncoder(settings, MODULES, components, params, lengths)


def features(components: int, count: int = 7) -> Features:
    rng = np.random.default_rng(2)
    mask = rng.random((count, MODULES)) < 0.6
    mask[:, 1] = True
    scores = rng.standard_normal((count, MODULES, components)).astype("f4")
    scores[0, 1] = 0  # live, and nothing of it lies along the components
    return Features(scores * mask[..., None], mask)


@pytest.mark.parametrize("changes", SETTINGS)
def test_onnx_gives_the_vectors_of_the_encoder(changes: dict[str, object]) -> None:
    encoder = trained(changes)
    given = features(encoder.components)
    session = onnxruntime.InferenceSession(
        onnx_graph(encoder).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    expected = encoder.embed(given)
    assert np.ptp(expected, axis=0).max() > 0.05  # not one vector for all
    for some in (slice(0, 7), slice(2, 3)):
        scores, mask = given.scores[some], given.mask[some]
        (found,) = session.run(None, {"scores": scores, "mask": mask})
        np.testing.assert_allclose(np.asarray(found), expected[some], atol=1e-5)


@pytest.mark.parametrize("changes", SETTINGS[:2])
def test_jax_gives_them_too(changes: dict[str, object]) -> None:
    encoder = trained(changes)
    given = features(encoder.components)
    graph = export.deserialize(bytearray(jax_graph(encoder)))
    assert graph.platforms == PLATFORMS
    assert str(graph.in_avals[0].shape[0]) == "b"
    for some in (slice(0, 7), slice(2, 3)):
        found = graph.call(given.scores[some], given.mask[some])
        assert isinstance(found, jax.Array)
        expected = encoder.embed(given)[some]
        np.testing.assert_allclose(np.asarray(found), expected, atol=1e-5)


def test_what_cannot_be_written_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = trained({"start": "geometry"})
    monkeypatch.setattr("lorajax.export.onnx_graph.MOST_BYTES", 1000)
    with pytest.raises(CheckpointError, match="more does not fit in an ONNX file"):
        onnx_graph(encoder)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(CheckpointError, match="package onnx") as error:
        onnx_graph(encoder)
    assert "onnx-export" in error.value.hint
