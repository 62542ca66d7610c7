"""An image encoder from a file: read as it is, repeated by NumPy, or refused."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from lorajax.errors import DatasetError, FormatError
from lorajax.pictures.image_encoder import BATCH, ImageEncoder, open_image_encoder
from tests.pictures.onnx_models import WEIGHTS, save, write_encoder

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
FIRST, LAST = ("n", 3, 8, 6), ("n", 8, 6, 3)


def opened(path: Path) -> ImageEncoder:
    return open_image_encoder(path, MEAN, STD, threads=1)


def pictures(count: int, side: int = 8) -> np.ndarray:
    """Of one colour each, so that any way of resizing leaves their mean."""
    rng = np.random.default_rng(count)
    colours = rng.integers(0, 256, (count, 1, 1, 3)) / 255
    return np.broadcast_to(colours, (count, side, side, 3)).astype("f4")


@pytest.mark.parametrize(
    "shape",
    [FIRST, LAST, (2, 3, 8, 6), (1, 8, 6, 3), (None, 3, 8, 6)],
)
@pytest.mark.parametrize("side", [4, 40])
def test_vectors_are_those_of_the_model(
    tmp_path: Path, shape: tuple[int | str, ...], side: int
) -> None:
    """Any layout, any number of pictures at a time, larger and smaller pictures."""
    encoder = opened(write_encoder(tmp_path / "tiny.onnx", shape))
    given = pictures(BATCH + 3, side)
    expected = ((given.mean((1, 2)) - MEAN) / STD) @ WEIGHTS
    assert encoder.width == 5
    np.testing.assert_allclose(encoder.describe(given), expected, atol=2e-5)


def test_pictures_are_resized_the_way_that_people_expect(tmp_path: Path) -> None:
    """The model's first pixel is the picture's top left, not its mirror."""
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["y"])],
        "pixels",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2, 4, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 24])],
    )
    encoder = opened(save(graph, tmp_path / "pixels.onnx"))
    picture = np.zeros((1, 16, 16, 3), "f4")
    picture[:, :8, :4, 0] = 1.0
    found = encoder.describe(picture).reshape(2, 4, 3) * STD + MEAN
    assert np.unravel_index(found[..., 0].argmax(), (2, 4)) == (0, 0)
    assert found[..., 1:].max() < 1e-6


def test_half_precision_and_a_pooled_vector_among_others(tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    write_encoder(path, FIRST, TensorProto.FLOAT16, ["map", "vector"])
    encoder, given = opened(path), pictures(3)
    expected = ((given.mean((1, 2)) - MEAN) / STD) @ WEIGHTS
    assert encoder.output == "vector"
    np.testing.assert_allclose(encoder.describe(given), expected, atol=0.05)


@pytest.mark.parametrize(
    ("shape", "outputs", "message"),
    [
        (("n", 3, "h", "w"), ["vector"], r"of known size.*pixels.*'h', 'w'"),
        (("n", 3, 4096, 4096), ["vector"], "at most 16,777,216 numbers"),
        ((4096, 3, 64, 64), ["vector"], "at most 16,777,216 numbers"),
        (FIRST, ["map"], r"one output \[n, d\].*found map"),
        (FIRST, ["vector", "twice"], r"one output \[n, d\].*found vector.*twice"),
    ],
)
def test_a_model_of_another_kind_is_refused(
    tmp_path: Path, shape: tuple[int | str, ...], outputs: list[str], message: str
) -> None:
    path = write_encoder(tmp_path / "other.onnx", shape, outputs=outputs)
    with pytest.raises(FormatError, match=message):
        opened(path)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.onnx"
    for content in (b"", b"PK\3\4", b"\0" * 100):
        path.write_bytes(content)
        with pytest.raises(FormatError, match=r"file\.onnx: expected an ONNX model"):
            opened(path)
    with pytest.raises(FormatError, match=r"none\.onnx: expected an ONNX model"):
        opened(tmp_path / "none.onnx")


def test_nothing_comes_in_from_outside(tmp_path: Path) -> None:
    """Neither operators nor weights that are not the model's own."""
    (tmp_path / "models").mkdir()
    path = write_encoder(tmp_path / "models" / "tiny.onnx", FIRST)
    model = onnx.load(path)
    graph = helper.make_graph(
        [helper.make_node("Run", ["pixels"], ["vector"], domain="own")],
        "own",
        model.graph.input,
        model.graph.output,
    )
    with pytest.raises(FormatError, match=r"own:Run.* is not a registered"):
        opened(save(graph, tmp_path / "own.onnx", "own"))
    secret, beside = tmp_path / "secret", tmp_path / "models" / "weights"
    for file in (secret, beside):
        file.write_bytes(WEIGHTS.tobytes())
    (weights,) = model.graph.initializer
    for place in (str(secret), "../secret", "weights"):
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        del weights.external_data[:]
        weights.external_data.add(key="location", value=place)
        path.write_bytes(model.SerializeToString())
        if place == "weights":
            assert opened(path).width == 5
            continue
        with pytest.raises(FormatError, match="expected an ONNX model, found"):
            opened(path)


def test_vectors_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["x"], ["f"]),
            helper.make_node("Log", ["f"], ["y"]),
        ],
        "log",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 12])],
    )
    path = save(graph, tmp_path / "log.onnx")
    with pytest.raises(FormatError, match=r"from y, found \[2, 12\] with NaN or Inf"):
        opened(path)


def test_without_the_package_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_encoder(tmp_path / "tiny.onnx", FIRST)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DatasetError, match="the package onnxruntime") as error:
        opened(path)
    assert error.value.hint == 'pip install "lorajax[onnx]"'
