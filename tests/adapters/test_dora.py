"""DoRA: a direction that the file tells, magnitudes beside it, and both with a base."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorajax.adapters import LowRankUpdate, inspect_file, read_adapter, with_base
from lorajax.adapters.dora import Axis, Magnitude, decomposed, magnitude_axis
from lorajax.errors import AdapterError
from lorajax.formats import open_tensor_file
from tests.adapters.assertions import assert_behaves
from tests.adapters.zoo_files import (
    CONV,
    SHAPES,
    SQUARE,
    WIDE,
    base_weights,
    kohya,
    lora,
    pair,
    write,
    write_base,
    write_peft,
)

RAW = WIDE.removeprefix("unet.")


@pytest.mark.parametrize(
    ("role", "shape", "weight", "axis"),
    [
        ("magnitude", (64,), (64, 64), "out"),
        ("magnitude", (1, 64, 1, 1), (64, 64, 3, 3), "out"),
        ("magnitude", (1, 64, 1, 1), (64, 128, 3, 3), "out"),
        ("magnitude", (1, 128), (64, 128), "in"),
        ("magnitude", (1, 64), (64, 64), "in"),
        ("magnitude", (1, 128, 1, 1), (64, 128, 3, 3), "in"),
        ("dora_scale", (64, 1), (64, 64), "out"),
        ("dora_scale", (1, 64), (64, 64), "in"),
        ("dora_scale", (64, 1, 1, 1), (64, 64, 3, 3), "out"),
        ("dora_scale", (1, 64, 1, 1), (64, 64, 3, 3), "in"),
    ],
)
def test_which_axis_magnitudes_belong_to(role: str, shape, weight, axis: str):
    assert magnitude_axis("x", role, shape, weight) == axis


@pytest.mark.parametrize("shape", [(), (63,), (8, 8), (1, 63), (64, 64)])
def test_magnitudes_of_no_axis_are_refused(shape: tuple[int, ...]):
    with pytest.raises(AdapterError, match="expected a magnitude for each of 64 outp"):
        magnitude_axis("x", "dora_scale", shape, (64, 128))


def oracle(weight: np.ndarray, direction: np.ndarray, m: np.ndarray, axis: str):
    """W′ − W, row by row or input channel by input channel."""
    total = weight.astype("f8") + direction.reshape(weight.shape)
    new = np.empty_like(total)
    for i, magnitude in enumerate(m):
        where = i if axis == "out" else (slice(None), i)
        new[where] = magnitude * total[where] / np.linalg.norm(total[where])
    return (new - weight).reshape(len(weight), -1)


@pytest.mark.parametrize("axis", ["out", "in"])
@pytest.mark.parametrize("name", [WIDE, CONV])
def test_lycoris_files(tmp_path: Path, name: str, axis: str):
    tensors, product = lora(name)
    out, in_, *kernel = SHAPES[name]
    m = np.linspace(1, 2, out if axis == "out" else in_).astype("f4")
    ends = [1] * len(kernel)
    shape = (-1, 1, *ends) if axis == "out" else (1, -1, *ends)
    tensors["dora_scale"] = m.reshape(shape)
    path = write(tmp_path / "dora.safetensors", kohya(tensors, name, 2.0))
    adapter = read_adapter(path)
    assert (adapter.family, adapter.tier) == ("lora+dora", "direction")
    assert adapter.magnitudes[name].axis == axis
    np.testing.assert_array_equal(adapter.magnitudes[name].values, m)
    assert_behaves(adapter.updates[name], product / 2, 0)
    weights = base_weights(name)
    base = open_tensor_file(write_base(tmp_path / "base.safetensors", weights))
    exact = with_base(adapter, base)
    assert (exact.tier, exact.magnitudes) == ("exact", {})
    assert_behaves(exact.updates[name], oracle(weights[name], product / 2, m, axis), 0)


@pytest.mark.parametrize("ending", ["", ".weight", ".default.weight"])
def test_peft_files(tmp_path: Path, ending: str):
    up, down = pair(WIDE)
    m = np.linspace(1, 2, 64).astype("f4")
    tensors = {
        f"{RAW}.lora_A.weight": down,
        f"{RAW}.lora_B.weight": up,
        f"{RAW}.lora_magnitude_vector{ending}": m,
    }
    path = write_peft(tmp_path, tensors, use_dora=True, lora_alpha=8, r=4)
    adapter = read_adapter(path)
    assert (adapter.tier, adapter.magnitudes[WIDE].axis) == ("direction", "out")
    assert_behaves(adapter.updates[WIDE], 2 * up.astype("f8") @ down, 0)
    assert inspect_file(path).tier == "direction"


def test_dora_on_other_families(tmp_path: Path):
    rng = np.random.default_rng(0)
    kron = {
        "lokr_w1": rng.standard_normal((8, 8)).astype("f4"),
        "lokr_w2": rng.standard_normal((8, 16)).astype("f4"),
        "dora_scale": np.ones((64, 1), "f4"),
    }
    plain, _ = lora(SQUARE)
    tensors = kohya(kron, WIDE) | kohya(plain, SQUARE)
    adapter = read_adapter(write(tmp_path / "dokr.safetensors", tensors))
    assert (adapter.family, adapter.tier) == ("lora+lokr+dora", "direction")
    assert set(adapter.magnitudes) == {WIDE}
    assert_behaves(adapter.updates[WIDE], np.kron(kron["lokr_w1"], kron["lokr_w2"]), 0)


def test_a_row_without_weight_stays_without():
    weight = np.ones((2, 3), "f4")
    direction = np.array([[-1, -1, -1], [0, 0, 0]], "f4")
    delta = decomposed(weight, direction, Magnitude(np.ones(2, "f4"), "out"))
    np.testing.assert_allclose(delta, [[-1] * 3, [3**-0.5 - 1] * 3], rtol=1e-6)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"dora_scale": np.ones((63, 1), "f4")}, "found \\[63, 1\\]"),
        ({"dora_scale": np.ones((64, 1), "i4")}, "found I32"),
        ({"dora_scale": np.full((64, 1), np.nan, "f4")}, "found 64 NaN or Inf"),
        (
            {"dora_scale": np.ones((64, 1), "f4"), "magnitude": np.ones(64, "f4")},
            "expected one tensor of magnitudes",
        ),
    ],
)
def test_bad_magnitudes_are_refused(tmp_path: Path, extra: dict, message: str):
    tensors, _ = lora(WIDE)
    path = write(tmp_path / "bad.safetensors", kohya(tensors | extra, WIDE))
    with pytest.raises(AdapterError, match=message):
        read_adapter(path)


def test_magnitudes_without_an_update_are_refused(tmp_path: Path):
    plain, _ = lora(WIDE)
    alone = {"dora_scale": np.ones((64, 1), "f4")}
    path = write(
        tmp_path / "bad.safetensors", kohya(plain, WIDE) | kohya(alone, SQUARE)
    )
    with pytest.raises(AdapterError, match=r"one kind of update for .* found none"):
        read_adapter(path)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32), st.sampled_from(["out", "in"]))
def test_gauge_of_a_direction_does_not_show_beside_its_magnitudes(
    seed: int, axis: Axis
):
    rng = np.random.default_rng(seed)
    up, down = rng.standard_normal((12, 3)), rng.standard_normal((3, 48))
    weight = rng.standard_normal((12, 16, 3)).astype("f4")
    magnitudes = Magnitude(rng.uniform(1, 2, 12 if axis == "out" else 16), axis)
    first, second = (
        decomposed(
            weight, LowRankUpdate(factor * up, down / factor).dense(), magnitudes
        )
        for factor in (1.0, -2.0)
    )
    np.testing.assert_allclose(first, second, atol=1e-5)
