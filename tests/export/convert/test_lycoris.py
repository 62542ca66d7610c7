"""LoHa and LoKr between LyCORIS' names and PEFT's, whose scales follow other rules."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from lorajax.adapters import read_adapter
from lorajax.errors import NamingError
from lorajax.export.convert import convert_file
from tests.adapters.zoo_files import CONV, SQUARE, TALL, kohya, write, write_peft


def some(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype("f4")


def loha(out: int, in_: int, rank: int) -> dict[str, np.ndarray]:
    return {
        **{f"hada_w{i}_a": some(out, rank) + i for i in (1, 2)},
        **{f"hada_w{i}_b": some(rank, in_) - i for i in (1, 2)},
    }


def dense(path: Path, module: str) -> np.ndarray:
    return read_adapter(path).updates[module].dense()


def test_loha_to_peft_and_back(tmp_path: Path):
    first, second = loha(256, 64, 3), loha(64, 64, 2)
    tensors = kohya(first, TALL, 1.0) | kohya(second, SQUARE, 4.0)
    own = write(tmp_path / "own.safetensors", tensors)
    peft = Path(convert_file(own, "peft", tmp_path / "peft").out)
    back = Path(convert_file(peft, "kohya", tmp_path / "back.safetensors").out)
    for module, part, scale in ((TALL, first, 1 / 3), (SQUARE, second, 2.0)):
        halves = [part[f"hada_w{i}_a"] @ part[f"hada_w{i}_b"] for i in (1, 2)]
        wanted = scale * halves[0] * halves[1]
        for path in (peft, back):
            np.testing.assert_allclose(dense(path, module), wanted, rtol=1e-4)
    before, after = load_file(own), load_file(back)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("alpha", [8, 2])
def test_whole_lokr_of_peft_carries_its_scale(tmp_path: Path, alpha: int):
    """PEFT divides alpha by r also here; LyCORIS does not scale whole matrices."""
    module = SQUARE.removeprefix("unet.")
    parts = {"lokr_w1": some(4, 8), "lokr_w2": some(16, 8)}
    tensors = {f"{module}.{role}": array for role, array in parts.items()}
    own = write_peft(tmp_path / "p", tensors, peft_type="LOKR", r=8, alpha=alpha)
    out = Path(convert_file(own, "kohya", tmp_path / "k.safetensors").out)
    wanted = alpha / 8 * np.kron(parts["lokr_w1"], parts["lokr_w2"])
    np.testing.assert_allclose(dense(out, SQUARE), wanted, rtol=1e-5)


def test_lokr_of_a_convolution_gets_its_window_back(tmp_path: Path):
    module = CONV.removeprefix("unet.")
    parts = {"lokr_w1": some(2, 4), "lokr_w2_a": some(32, 2), "lokr_w2_b": some(2, 288)}
    tensors = {f"{module}.{role}": array for role, array in parts.items()}
    own = write_peft(tmp_path / "p", tensors, peft_type="LOKR", r=2, alpha=3)
    out = Path(convert_file(own, "kohya", tmp_path / "k.safetensors").out)
    right = parts["lokr_w2_a"] @ parts["lokr_w2_b"]
    wanted = 1.5 * np.kron(parts["lokr_w1"], right)
    np.testing.assert_allclose(dense(out, CONV), wanted, rtol=1e-4, atol=1e-4)
    raw = "lora_unet_" + module.replace(".", "_")
    assert load_file(out)[f"{raw}.lokr_w2_b"].shape == (2, 32, 3, 3)


def test_lokr_to_peft_and_back(tmp_path: Path):
    pair = {"lokr_w1": some(8, 8), "lokr_w2_a": some(32, 2), "lokr_w2_b": some(2, 8)}
    whole = {"lokr_w1": some(8, 8), "lokr_w2": some(8, 8)}
    tensors = kohya(pair, TALL, 3.0) | kohya(whole, SQUARE, 99.0)
    own = write(tmp_path / "own.safetensors", tensors)
    made = convert_file(own, "peft", tmp_path / "peft")
    assert made.config is not None
    config = json.loads(Path(made.config).read_text())
    # 64 = 8 · 8 by the square root, 256 = 8 · 32 only where 8 is the bound.
    assert (config["peft_type"], config["decompose_factor"]) == ("LOKR", 8)
    back = convert_file(Path(made.out), "kohya", tmp_path / "back.safetensors")
    right = pair["lokr_w2_a"] @ pair["lokr_w2_b"]
    for path in map(Path, (made.out, back.out)):
        wanted = 1.5 * np.kron(pair["lokr_w1"], right)
        np.testing.assert_allclose(dense(path, TALL), wanted, rtol=1e-4, atol=1e-5)
        wanted = np.kron(whole["lokr_w1"], whole["lokr_w2"])
        np.testing.assert_allclose(dense(path, SQUARE), wanted, rtol=1e-5)


def test_lokr_that_peft_would_make_otherwise(tmp_path: Path):
    parts = {"lokr_w1": some(4, 8), "lokr_w2": some(16, 8)}
    own = write(tmp_path / "own.safetensors", kohya(parts, SQUARE, 1.0))
    with pytest.raises(NamingError, match="as PEFT makes them, found 1 layers"):
        convert_file(own, "peft", tmp_path / "out")


def test_diffusers_knows_lora_alone(tmp_path: Path):
    parts = {"lokr_w1": some(8, 8), "lokr_w2": some(8, 8)}
    own = write(tmp_path / "own.safetensors", kohya(parts, SQUARE, 1.0))
    with pytest.raises(NamingError, match="found lokr, which diffusers has no place"):
        convert_file(own, "diffusers", tmp_path / "out.safetensors")
