"""Fingerprints: near for one update however written, far for two."""

import math
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lorajax.adapters import (
    compare,
    fingerprint,
    inspect_file,
    parse_fingerprint,
    read_adapter,
    same_update,
)
from lorajax.adapters.fingerprint import LARGEST, NUMBERS, STEP, Fingerprint, _signs
from lorajax.errors import AdapterError
from tests.adapters.fingerprint_rates import OTHER, SAME, trials
from tests.adapters.zoo_files import CONV, SQUARE, WIDE, kohya, lora, write, write_peft

PAIRS = 8
ROUGH = ("fp8 e4m3", "the same gauge, then bf16")
NEAR = [name for name in OTHER if name.endswith("by 0.02")]
REAL = Path(__file__).parent.parent / "data" / "real"


@pytest.mark.parametrize("name", [name for name in SAME if name not in ROUGH])
def test_one_update_written_otherwise_is_the_same(name: str):
    for result, _, true in trials(SAME[name], PAIRS, seed=1):
        assert result.is_same() and true < 0.01
        assert not result.is_scaled()


@pytest.mark.parametrize("name", [name for name in OTHER if name not in NEAR])
def test_two_updates_are_not_the_same(name: str):
    for result, equal_texts, _ in trials(OTHER[name], PAIRS, seed=2):
        assert not result.is_same() and not equal_texts
        assert result.is_scaled() == name.startswith("scaled")


def test_the_difference_is_estimated_without_a_lean():
    """The mean square of many estimates is the mean square of what is true."""
    found = list(trials(OTHER["every factor moved by 0.2"], 40, seed=3))
    estimated = np.mean([result.difference**2 for result, _, _ in found])
    assert estimated == pytest.approx(np.mean([t**2 for _, _, t in found]), rel=0.3)


def test_strength_is_told_apart_from_direction(tmp_path: Path):
    tensors, _ = lora(WIDE)
    names = {}
    for alpha in (4.0, 2.0, -4.0):
        path = write(tmp_path / "x.safetensors", kohya(tensors, WIDE, alpha))
        names[alpha] = fingerprint(read_adapter(path))
    half, opposite = (compare(names[4.0], names[a]) for a in (2.0, -4.0))
    assert half.is_scaled() and half.ratio == pytest.approx(0.5, rel=2e-3)
    assert opposite.difference == pytest.approx(2.0, rel=0.7)
    assert not opposite.is_scaled() and opposite.ratio == pytest.approx(1)


def test_dialects_and_families_of_one_update_agree(tmp_path: Path):
    kohyas, weights = {}, {}
    for seed, module in enumerate((WIDE, SQUARE, CONV)):
        tensors, delta = lora(module, seed=seed)
        weights[module] = delta
        kohyas |= kohya(tensors, module)
    first = inspect_file(write(tmp_path / "a.safetensors", kohyas)).fingerprint
    low = {
        f"{key.removeprefix('unet.')}.lora_{role}.weight": lora(key, seed=seed)[0][own]
        for seed, key in enumerate((WIDE, SQUARE, CONV))
        for role, own in (("A", "lora_down.weight"), ("B", "lora_up.weight"))
    }
    peft = write_peft(tmp_path / "b", low, r=4, lora_alpha=4)
    whole: dict[str, np.ndarray] = {}
    for module, delta in weights.items():
        shape = (64, 128, 3, 3) if module == CONV else delta.shape
        whole |= kohya({"diff": delta.reshape(shape).astype("f4")}, module)
    full = write(tmp_path / "c.safetensors", whole)
    assert first
    for path in (peft, full):
        other = inspect_file(path).fingerprint
        assert other and same_update(parse_fingerprint(first), parse_fingerprint(other))


def test_real_loras_cast_to_bfloat16(tmp_path: Path):
    """Every real file is itself in another format, and none is another."""
    names: dict[str, Fingerprint] = {}
    for path in sorted(REAL.glob("*.safetensors")):
        names[path.stem] = fingerprint(read_adapter(path))
        floats = {
            key: array.astype(ml_dtypes.bfloat16) if array.dtype == "f4" else array
            for key, array in load_file(path).items()
        }
        cast = tmp_path / path.name
        save_file(floats, cast, _metadata(path))
        assert same_update(names[path.stem], fingerprint(read_adapter(cast)))
    first, *others = names.values()
    assert len(others) == 2
    assert all(compare(first, other).difference > 0.5 for other in others)


def _metadata(path: Path) -> dict[str, str]:
    from lorajax.formats import open_tensor_file

    return open_tensor_file(path).metadata


def test_a_fingerprint_is_read_as_it_was_written():
    for codes in ([0] * NUMBERS, [-LARGEST] * NUMBERS, range(-8, NUMBERS - 8)):
        made = Fingerprint(tuple(codes), 0x8123)
        assert parse_fingerprint(str(made)) == made and len(str(made)) == 53


@pytest.mark.parametrize(
    "text", ["", "8000", "8000-" + "8" * 47, "8000-" + "g" * 48, "80000-" + "8" * 47]
)
def test_what_is_no_fingerprint_is_refused(text: str):
    with pytest.raises(AdapterError, match="expected a fingerprint"):
        parse_fingerprint(text)


def test_the_signs_never_change():
    """A stored fingerprint must mean the same for ever."""
    left, right = _signs("lorajax-zoo-1/unet.mid_block", 3, 2)
    assert left.shape == (3, NUMBERS) and right.shape == (2, NUMBERS)
    bits = "".join("01"[int(sign < 0)] for sign in np.concatenate([left, right]).flat)
    assert f"{int(bits, 2):020x}" == "d1d2c0b1f3326f90d4c6"
    assert math.isclose(STEP, 8 / 2047)


@pytest.mark.parametrize("size", [1e-18, 1e37])
def test_updates_at_the_ends_of_float32(tmp_path: Path, size: float):
    """Their sums leave float32; the direction is that of an update of usual size."""
    whole = np.random.default_rng(0).standard_normal((64, 128)).astype("f4")
    names = []
    for scale in (1, size):
        tensors = kohya({"diff": whole * np.float32(scale)}, WIDE)
        path = write(tmp_path / f"{scale}.safetensors", tensors)
        names.append(fingerprint(read_adapter(path)))
    result = compare(*names)
    assert result.is_scaled() and result.ratio == pytest.approx(size, rel=5e-3)


def test_operators_have_none(tmp_path: Path):
    tensors = {"weight": np.ones(128, "f4") * 0.1, "on_input": np.array(1, "u1")}
    path = write(tmp_path / "x.safetensors", kohya(tensors, WIDE))
    assert inspect_file(path).fingerprint is None
    with pytest.raises(AdapterError, match="expected updates, found ia3"):
        fingerprint(read_adapter(path))
