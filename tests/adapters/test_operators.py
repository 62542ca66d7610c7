"""OFT, BOFT and (IA)³: what they do to a weight, and that alone they are no update."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorajax.adapters import (
    Adapter,
    Operator,
    check_vector,
    inspect_file,
    read_adapter,
    with_base,
)
from lorajax.adapters.alpha import Alpha
from lorajax.adapters.ia3 import build_ia3
from lorajax.adapters.oft import build_oft
from lorajax.adapters.rotation import (
    cayley,
    even_then_odd,
    interleaved,
    polynomial,
)
from lorajax.adapters.scaling import PeftScaling
from lorajax.errors import AdapterError
from lorajax.formats import open_tensor_file
from lorajax.projection.base_space import base_space_vector
from tests.adapters.zoo_files import (
    CONV,
    SHAPES,
    SQUARE,
    WIDE,
    Tensors,
    base_weights,
    kohya,
    lora,
    write,
    write_base,
    write_peft,
)

RAW = WIDE.removeprefix("unet.")


def skew(blocks: np.ndarray) -> np.ndarray:
    return blocks - np.swapaxes(blocks, -1, -2)


def block_diagonal(blocks: np.ndarray) -> np.ndarray:
    n, b, _ = blocks.shape
    whole = np.zeros((n * b, n * b))
    for i in range(n):
        whole[i * b : (i + 1) * b, i * b : (i + 1) * b] = blocks[i]
    return whole


def rotation(q: np.ndarray) -> np.ndarray:
    """(I + Q)(I − Q)⁻¹ of a whole side."""
    eye = np.eye(len(q))
    return (eye + q) @ np.linalg.inv(eye - q)


def blocks(*shape: int, size: float = 0.2) -> np.ndarray:
    return size * np.random.default_rng(0).standard_normal(shape)


def weight(out: int = 12, *rest: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((out, *(rest or (8,))))


@pytest.mark.parametrize("rest", [(8,), (5, 3, 3)])
@pytest.mark.parametrize("rescaled", [False, True])
def test_oft_of_lycoris_turns_outputs(rest: tuple[int, ...], rescaled: bool):
    raw, w = blocks(3, 4, 4), weight(12, *rest)
    arrays: Tensors = {"oft_blocks": raw}
    scales = np.ones((12, 1))
    if rescaled:
        scales = np.linspace(0.5, 1.5, 12)[:, None]
        arrays["rescale"] = scales.reshape(12, *(1 for _ in rest))
    matrix = w.reshape(12, -1)
    turned = rotation(block_diagonal(skew(raw))).T @ matrix * scales
    found = build_oft(arrays, Alpha()).delta_weight(w)
    assert found.shape == w.shape
    np.testing.assert_allclose(found.reshape(12, -1), turned - matrix, atol=1e-6)


def test_a_constraint_limits_the_norm_of_all_blocks():
    raw, w = blocks(3, 4, 4), weight()
    q = skew(raw)
    limit = 0.01 * 12
    assert np.linalg.norm(q) > limit
    q *= limit / np.linalg.norm(q)
    expected = rotation(block_diagonal(q)).T @ w - w
    found = build_oft({"oft_blocks": raw}, Alpha(0.01)).delta_weight(w)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    free = build_oft({"oft_blocks": raw}, Alpha()).delta_weight(w)
    for alpha in (0.0, 10.0):
        same = build_oft({"oft_blocks": raw}, Alpha(alpha)).delta_weight(w)
        np.testing.assert_array_equal(same, free)


def test_boft_of_lycoris_mixes_blocks_that_lie_apart():
    """Stage i mixes channels that lie 2ⁱ · b/2 apart: here all eight in the end."""
    raw, w = blocks(2, 4, 2, 2), weight(8)
    expected = w
    for stage in range(2):
        order = interleaved(8, 2, stage)
        q = block_diagonal(skew(raw[stage]))
        turned = np.empty_like(expected)
        turned[order] = rotation(q) @ expected[order]
        expected = turned
    found = build_oft({"boft_blocks": raw}, Alpha()).delta_weight(w)
    np.testing.assert_allclose(found, expected - w, atol=1e-6)


@pytest.mark.parametrize("shared", [False, True])
def test_oft_of_peft_turns_inputs(shared: bool):
    numbers, w = blocks(1 if shared else 2, 6), weight()
    upper = np.zeros((2, 4, 4))
    upper[:, *np.triu_indices(4, 1)] = numbers
    expected = w @ rotation(-block_diagonal(skew(upper))).T - w
    found = build_oft({"oft_R": numbers}, Alpha()).delta_weight(w)
    np.testing.assert_allclose(found, expected, atol=1e-6)


SERIES = {
    1: [1],
    2: [1, 2],
    3: [1, 2, 2, 1],
    4: [1, 2, 2, 1],
    5: [1, 2, 2, 2, 1],
    7: [1, 2, 2, 2, 2, 2, 1],
}


@pytest.mark.parametrize("terms", SERIES)
@pytest.mark.parametrize("version", ["0.21.2", None])
def test_the_series_of_peft(terms: int, version: str | None):
    """Before 0.18, which wrote no version, the last term was not halved."""
    powers = SERIES[terms] if version else [1] + [2] * (terms - 1)
    q = skew(blocks(1, 4, 4))[0]
    turn = sum(c * np.linalg.matrix_power(q, k) for k, c in enumerate(powers))
    config = {"use_cayley_neumann": True, "num_cayley_neumann_terms": terms}
    if version:
        config["peft_version"] = version
    arrays = {"oft_R": q[np.triu_indices(4, 1)][None]}
    w = weight(3, 4)
    found = build_oft(arrays, Alpha(peft=PeftScaling(config))).delta_weight(w)
    np.testing.assert_allclose(found, w @ np.asarray(turn).T - w, atol=1e-6)


@pytest.mark.parametrize("terms", [0, 65, "5", True])
def test_series_of_no_length_are_refused(terms: object):
    config = {"use_cayley_neumann": True, "num_cayley_neumann_terms": terms}
    with pytest.raises(AdapterError, match="num_cayley_neumann_terms from 1 to 64"):
        build_oft({"oft_R": blocks(1, 6)}, Alpha(peft=PeftScaling(config)))


def test_cayley_transforms_are_rotations_and_series_reach_them():
    q = skew(blocks(2, 4, 4, size=0.05))
    turn = cayley(q)
    np.testing.assert_allclose(
        turn @ np.swapaxes(turn, 1, 2), [np.eye(4)] * 2, atol=1e-12
    )
    long = (1.0, *(2.0,) * 40)
    np.testing.assert_allclose(polynomial(q, long), turn, atol=1e-12)


def test_boft_of_peft_scales_outputs_too():
    raw, w = blocks(2, 4, 2, 2), weight(12)
    scales = np.linspace(0.5, 1.5, 12)[:, None]
    whole = np.eye(8)
    for stage in range(2):
        order = even_then_odd(8, 2, stage)
        places = np.eye(8)[order]
        q = block_diagonal(skew(raw[stage]) / 2)
        whole = places.T @ rotation(-q) @ places @ whole
    arrays = {"boft_R": raw, "boft_s": scales}
    found = build_oft(arrays, Alpha()).delta_weight(w)
    np.testing.assert_allclose(found, (w @ whole.T) * scales - w, atol=1e-6)


@pytest.mark.parametrize("kernel", [(), (3, 3)])
def test_ia3_scales_channels(kernel: tuple[int, ...]):
    w = weight(12, 8, *kernel)
    for axis, channels in ((0, 12), (1, 8)):
        factor = np.linspace(-0.5, 0.5, channels).astype("f4")
        ends = [1] * (len(kernel) + 1 - axis)
        expected = w * factor.reshape(-1, *ends)
        lycoris = {"ia3_weight": factor.reshape(1, -1, *kernel_ones(kernel))}
        if not kernel:
            lycoris["ia3_weight"] = factor
        lycoris["on_input"] = np.array(float(axis), "f4")
        shape = (1, -1, *kernel_ones(kernel)) if kernel else ((-1, 1), (1, -1))[axis]
        peft = {"ia3_l": (1 + factor).reshape(shape)}
        for arrays in (lycoris, peft):
            found = build_ia3(arrays).delta_weight(w.astype("f4"))
            np.testing.assert_allclose(found, expected, atol=1e-6)


def kernel_ones(kernel: tuple[int, ...]) -> tuple[int, ...]:
    return (1,) * len(kernel)


def test_channels_that_no_side_tells_are_refused():
    operator = build_ia3({"ia3_l": np.full((1, 8, 1, 1), 2, "f4")})
    with pytest.raises(AdapterError, match="which channels are scaled"):
        operator.delta_weight(weight(8, 8, 3, 3))
    with pytest.raises(AdapterError, match="which channels are scaled"):
        operator.delta_weight(weight(9, 9))


@pytest.mark.parametrize("shape", [(10, 8), (16, 8)])
def test_weights_that_do_not_fit_are_refused(shape: tuple[int, int]):
    operator = build_oft({"oft_blocks": blocks(3, 4, 4)}, Alpha())
    with pytest.raises(AdapterError, match="output side has 3 blocks of 4 channels"):
        operator.delta_weight(weight(*shape))


# Files

FILES: dict[str, tuple[Tensors, str, int]] = {
    "OFT": ({"oft_blocks": blocks(8, 8, 8)}, "oft", 8),
    "OFT, rescaled": (
        {"oft_blocks": blocks(8, 8, 8), "rescale": np.full((64, 1), 2.0)},
        "oft",
        8,
    ),
    "BOFT": ({"oft_blocks": blocks(2, 16, 4, 4)}, "boft", 4),
    "(IA)³": (
        {"weight": blocks(128), "on_input": np.array(1, "u1")},
        "ia3",
        1,
    ),
}


def operator_file(folder: Path, case: str = "OFT") -> Path:
    tensors = {
        role: array if array.dtype == np.uint8 else array.astype("f4")
        for role, array in FILES[case][0].items()
    }
    return write(folder / "operator.safetensors", kohya(tensors, WIDE, None))


@pytest.mark.parametrize("case", FILES)
def test_operators_are_described_without_an_update(tmp_path: Path, case: str):
    _, family, size = FILES[case]
    path = operator_file(tmp_path, case)
    adapter = read_adapter(path)
    assert (adapter.family, adapter.tier) == (family, "operator")
    assert not adapter.updates and not adapter.unmapped and not adapter.side
    assert isinstance(adapter.operators[WIDE], Operator)
    facts = inspect_file(path)
    assert facts.norm is None and facts.dtype == "F32"
    assert facts.modules.mapped == facts.modules.total == 1
    assert (facts.rank.min, facts.rank.max) == (size, size)


@pytest.mark.parametrize("case", FILES)
def test_a_vector_of_an_operator_is_refused(tmp_path: Path, case: str):
    adapter = read_adapter(operator_file(tmp_path, case))
    for demand in (check_vector, base_space_vector):
        with pytest.raises(AdapterError) as refusal:
            demand(adapter)
        assert "tier 'operator'" in refusal.value.message
        assert "--base" in refusal.value.hint and "\n" not in str(refusal.value)


def test_kohyas_own_prefix_is_known(tmp_path: Path):
    tensors = {
        f"oft_unet_{RAW.replace('.', '_')}.oft_blocks": blocks(8, 8, 8).astype("f4"),
        f"oft_unet_{RAW.replace('.', '_')}.alpha": np.array(1.0, "f4"),
    }
    adapter = read_adapter(write(tmp_path / "oft.safetensors", tensors))
    assert (adapter.format, set(adapter.operators)) == ("kohya", {WIDE})


@pytest.mark.parametrize(
    ("kind", "tensors"),
    [
        ("OFT", {"oft_R.weight": blocks(16, 28)}),
        ("OFT", {"oft_R.weight": blocks(1, 28)}),
        ("BOFT", {"boft_R": blocks(1, 16, 8, 8), "boft_s": np.full((64, 1), 1.5)}),
        ("IA3", {"ia3_l": blocks(64, 1)}),
        ("IA3", {"ia3_l": blocks(1, 128)}),
    ],
)
def test_peft_files(tmp_path: Path, kind: str, tensors: Tensors):
    named = {f"{RAW}.{role}": array.astype("f4") for role, array in tensors.items()}
    adapter = read_adapter(write_peft(tmp_path, named, peft_type=kind))
    assert (adapter.family, adapter.tier) == (kind.lower(), "operator")
    assert adapter.format == "peft" and set(adapter.operators) == {WIDE}
    assert not adapter.warnings


def test_operators_that_change_nothing_are_dead(tmp_path: Path):
    idle = {"oft_blocks": np.zeros((8, 8, 8), "f4"), "rescale": np.ones((64, 1), "f4")}
    trained = {"oft_blocks": blocks(8, 8, 8).astype("f4")}
    tensors = kohya(idle, SQUARE) | kohya(trained, WIDE)
    adapter = read_adapter(write(tmp_path / "oft.safetensors", tensors))
    assert adapter.dead == (SQUARE,) and set(adapter.operators) == {WIDE}
    path = write(tmp_path / "idle.safetensors", kohya(idle, SQUARE))
    with pytest.raises(AdapterError, match="whose update is zero"):
        read_adapter(path)


def test_an_idle_operator_beside_updates_costs_them_nothing(tmp_path: Path):
    plain, _ = lora(WIDE)
    idle = {"oft_blocks": np.zeros((8, 8, 8), "f4")}
    tensors = kohya(plain, WIDE) | kohya(idle, SQUARE)
    adapter = read_adapter(write(tmp_path / "mixed.safetensors", tensors))
    assert (adapter.tier, adapter.family) == ("exact", "lora+oft")
    check_vector(adapter)
    assert base_space_vector(adapter).shape == (1024,)


BAD: dict[str, tuple[Tensors, str]] = {
    "blocks": ({"oft_blocks": blocks(8, 7, 8)}, r"found oft_blocks \[8, 7, 8\]"),
    "scales": (
        {"oft_blocks": blocks(8, 8, 8), "rescale": np.ones((63, 1))},
        r"rescale \[63, 1\]",
    ),
    "two axes": ({"oft_blocks": blocks(64, 8)}, r"found oft_blocks \[64, 8\]"),
    "odd blocks": ({"oft_blocks": blocks(1, 64, 1, 1)}, r"\[1, 64, 1, 1\]"),
    "odd stages": ({"oft_blocks": blocks(7, 16, 4, 4)}, r"\[7, 16, 4, 4\]"),
    "no vector": ({"on_input": np.array(1, "u1")}, "found on_input alone"),
    "matrix": (
        {"weight": blocks(8, 8), "on_input": np.array(1, "u1")},
        "a vector and one on_input",
    ),
    "switches": (
        {"weight": blocks(128), "on_input": np.array([1, 0], "u1")},
        "a vector and one on_input",
    ),
    "magnitudes": (
        {"oft_blocks": blocks(8, 8, 8), "dora_scale": np.ones((64, 1))},
        "expected one tensor of magnitudes, beside an update",
    ),
    "NaN": ({"oft_blocks": np.full((8, 8, 8), np.nan)}, "NaN or Inf"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(tmp_path: Path, case: str):
    tensors, message = BAD[case]
    tensors = {
        role: array if array.dtype == np.uint8 else array.astype("f4")
        for role, array in tensors.items()
    }
    name = SQUARE if case == "matrix" else WIDE
    path = write(tmp_path / "bad.safetensors", kohya(tensors, name))
    with pytest.raises(AdapterError, match=message):
        read_adapter(path)


def exact(folder: Path, weights: Tensors, case: str = "OFT") -> Adapter:
    base = write_base(folder / "base.safetensors", weights, component=False)
    return with_base(read_adapter(operator_file(folder, case)), open_tensor_file(base))


@pytest.mark.parametrize("case", FILES)
def test_a_base_model_makes_updates_of_operators(tmp_path: Path, case: str):
    weights = base_weights(WIDE, CONV)
    adapter = exact(tmp_path, weights, case)
    assert (adapter.tier, set(adapter.updates)) == ("exact", {WIDE})
    alone = read_adapter(operator_file(tmp_path, case))
    expected = alone.operators[WIDE].delta_weight(weights[WIDE])
    np.testing.assert_array_equal(adapter.updates[WIDE].dense(), expected)
    assert adapter.norm == pytest.approx(np.linalg.norm(expected), rel=1e-5)
    assert expected.shape == SHAPES[WIDE]
    base_space_vector(adapter)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32), st.sampled_from(["oft_blocks", "boft_blocks"]))
def test_symmetric_parts_of_a_rotation_do_not_show(seed: int, role: str):
    """Only blocks − blocksᵀ turns anything: the rest of them is a gauge of OFT."""
    rng = np.random.default_rng(seed)
    shape = (4, 4, 4) if role == "oft_blocks" else (2, 4, 4, 4)
    blocks, free = rng.standard_normal((2, *shape))
    free = free + np.swapaxes(free, -1, -2)
    weight = rng.standard_normal((16, 5, 3)).astype("f4")
    changes = []
    for array in (blocks, blocks + free):
        operator = build_oft({role: array}, Alpha(0.05))
        changes.append(operator.delta_weight(weight))
    np.testing.assert_allclose(changes[0], changes[1], atol=1e-5)
