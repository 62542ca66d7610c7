"""LoHa against the plain product of two matrices, in every dialect that writes it."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from lorajax.adapters import (
    HadamardUpdate,
    LowRankUpdate,
    Update,
    inner,
    inspect_file,
    read_adapter,
    sketch,
    spectrum,
)
from lorajax.errors import AdapterError
from lorajax.naming import table_of
from tests.adapters.assertions import assert_behaves, close

Tensors = dict[str, np.ndarray]
BLOCK = "unet.mid_block.attentions.0.transformer_blocks.0"
LINEAR = f"{BLOCK}.attn2.to_k"
CONV = "unet.mid_block.resnets.0.conv1"
ZOO = {"ss_base_model_version": "lorajax-zoo-1"}


@st.composite
def hadamards(draw: st.DrawFn) -> HadamardUpdate:
    """Small and large for their rank, in two precisions, some scale."""
    out, in_ = draw(st.integers(1, 30)), draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = draw(st.sampled_from([np.float64, np.float32]))
    halves = []
    for rank in (draw(st.integers(1, 4)), draw(st.integers(1, 4))):
        up, down = rng.standard_normal((out, rank)), rng.standard_normal((rank, in_))
        halves.append(LowRankUpdate(up.astype(dtype), down.astype(dtype)))
    scale = draw(st.floats(-4, 4).filter(lambda s: abs(s) > 1e-3))
    return HadamardUpdate(halves[0], halves[1], scale)


def oracle(update: HadamardUpdate) -> np.ndarray:
    first, second = (
        half.stored_up.astype(float) @ half.stored_down.astype(float)
        for half in (update.first, update.second)
    )
    return update.scale * first * second


@settings(deadline=None)
@given(hadamards(), st.integers(0, 2**32))
def test_algebra_equals_the_dense_product(update: HadamardUpdate, seed: int):
    assert isinstance(update, Update)
    assert_behaves(update, oracle(update), seed)


@settings(deadline=None)
@given(hadamards(), st.integers(0, 2**32))
def test_gauge_of_the_factors_does_not_show(update: HadamardUpdate, seed: int):
    """Either matrix may be written in other factors, and the two may change places."""
    rng = np.random.default_rng(seed)
    first, rank = update.first, update.first.rank
    gauge, _ = np.linalg.qr(rng.standard_normal((rank, rank)))
    up, down = first.up.astype(float) @ gauge, gauge.T @ first.down.astype(float)
    other = HadamardUpdate(update.second, LowRankUpdate(2 * up, down / 2), update.scale)
    out, in_ = update.shape
    left, right = rng.standard_normal((out, 2)), rng.standard_normal((in_, 3))
    close(sketch(other, left, right), sketch(update, left, right))
    close(inner(other, update), update.squared_norm())


def test_factors_are_given_only_where_they_are_small():
    rng = np.random.default_rng(0)

    def square(side: int, rank: int) -> HadamardUpdate:
        up, down = rng.standard_normal((side, rank)), rng.standard_normal((rank, side))
        return HadamardUpdate(LowRankUpdate(up, down), LowRankUpdate(up, down))

    small, large = square(64, 4), square(64, 5)
    assert large.factors() is None
    pair = small.factors()
    assert pair is not None and pair[1].shape == (16, 64)
    close(spectrum(large)[:25], np.linalg.svd(large.dense())[1][:25])


def test_zero_updates_are_known_as_such():
    rng = np.random.default_rng(0)
    up, down = rng.standard_normal((320, 4)), rng.standard_normal((4, 320))
    plain = LowRankUpdate(up.astype("f4"), down.astype("f4"))
    assert not HadamardUpdate(plain, plain).is_zero()
    assert HadamardUpdate(plain, plain, 0.0).is_zero()
    for zero in (LowRankUpdate(0 * up, down), LowRankUpdate(up, 0 * down)):
        assert HadamardUpdate(plain, zero).is_zero()
        assert HadamardUpdate(zero, plain).is_zero()
    top, bottom = up * (np.arange(320) < 100)[:, None], up.copy()
    bottom[:100] = 0  # nothing in common, so the product is zero everywhere
    apart = HadamardUpdate(LowRankUpdate(top, down), LowRankUpdate(bottom, down))
    assert apart.is_zero()
    late = up * (np.arange(320) > 300)[:, None]  # and its corner tells nothing
    assert not HadamardUpdate(plain, LowRankUpdate(late, down)).is_zero()


# Files


def module(shape: tuple[int, ...], rank: int = 2, seed: int = 0, tucker=False):
    """LyCORIS' tensors of one module and its ΔW by einsum, flattened."""
    rng = np.random.default_rng(seed)
    out, in_, *kernel = shape
    tensors: Tensors = {}
    weight = np.ones(shape)
    for half in "12":
        if tucker:
            t = rng.standard_normal((rank, rank, *kernel)).astype("f4")
            a = rng.standard_normal((rank, out)).astype("f4")
            b = rng.standard_normal((rank, in_)).astype("f4")
            tensors[f"hada_t{half}"] = t
            weight *= np.einsum(
                "ij...,io,jn->on...", *(x.astype("f8") for x in (t, a, b))
            )
        else:
            a = rng.standard_normal((out, rank)).astype("f4")
            b = rng.standard_normal((rank, in_ * int(np.prod(kernel)))).astype("f4")
            weight *= (a.astype("f8") @ b).reshape(shape)
        tensors |= {f"hada_w{half}_a": a, f"hada_w{half}_b": b}
    return tensors, weight.reshape(out, -1)


def zoo_shape(name: str) -> tuple[int, ...]:
    return next(m.shape for m in table_of("lorajax-zoo-1").modules if m.name == name)


def kohya(tensors: Tensors, name: str, alpha: float | None = None) -> Tensors:
    raw = "lora_unet_" + name.removeprefix("unet.").replace(".", "_")
    extra = {} if alpha is None else {f"{raw}.alpha": np.array(alpha, "f4")}
    return {f"{raw}.{role}": array for role, array in tensors.items()} | extra


@pytest.mark.parametrize("alpha", [None, 0.0, 1.0, 4.0])
@pytest.mark.parametrize("tucker", [False, True])
def test_lycoris_files(tmp_path: Path, alpha: float | None, tucker: bool):
    linear, dense = module(zoo_shape(LINEAR))
    conv, dense_conv = module(zoo_shape(CONV), 3, 1, tucker)
    path = tmp_path / "style.safetensors"
    tensors = kohya(linear, LINEAR, alpha) | kohya(conv, CONV, alpha)
    save_file(tensors, path, ZOO)
    adapter = read_adapter(path)
    assert (adapter.family, adapter.format, adapter.tier) == ("loha", "kohya", "exact")
    assert adapter.base_model == "lorajax-zoo-1"
    assert adapter.ranks == {CONV: 3, LINEAR: 2}
    for name, weight, rank in ((LINEAR, dense, 2), (CONV, dense_conv, 3)):
        scale = alpha / rank if alpha else 1.0
        assert_behaves(adapter.updates[name], scale * weight, 0)
    facts = inspect_file(path)
    assert facts.family == "loha" and (facts.rank.min, facts.rank.max) == (2, 3)
    assert facts.modules.mapped == 2


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({"alpha": 4, "r": 2}, 2.0),
        ({}, 4.0),
        ({"alpha": 4, "alpha_pattern": {"attn2.to_k": 1}}, 0.5),
        ({"alpha": 4, "use_khatri_rao": "auto", "init_weights": True}, 2.0),
        ({"alpha": 4, "use_khatri_rao": True}, 8.0),
        ({"alpha": 4, "use_khatri_rao": "auto", "init_weights": "abba"}, 8.0),
    ],
)
def test_peft_files(tmp_path: Path, config: dict, scale: float):
    tensors, dense = module(zoo_shape(LINEAR))
    start = f"base_model.model.{LINEAR.removeprefix('unet.')}"
    path = tmp_path / "adapter_model.safetensors"
    save_file({f"{start}.{role}": a for role, a in tensors.items()}, path)
    config |= {"peft_type": "LOHA", "base_model_name_or_path": "lorajax-zoo-1"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    adapter = read_adapter(path)
    assert (adapter.family, adapter.format) == ("loha", "peft")
    close(adapter.updates[LINEAR].dense(), scale * dense)


def test_alpha_beside_the_weights_changes_the_content_key(tmp_path: Path):
    tensors, _ = module(zoo_shape(LINEAR))
    start = f"base_model.model.{LINEAR.removeprefix('unet.')}"
    path = tmp_path / "adapter_model.safetensors"
    save_file({f"{start}.{role}": a for role, a in tensors.items()}, path, ZOO)
    keys = set()
    for alpha in (1, 2):
        config = json.dumps({"peft_type": "LOHA", "alpha": alpha, "r": 2})
        (tmp_path / "adapter_config.json").write_text(config)
        keys.add(read_adapter(path).content_key)
    assert len(keys) == 2


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_a_whole_unet_in_half_precision(tmp_path: Path, dtype: type):
    """Stable Diffusion 1.5, its convolutions flat: attn2 tells it from version 2."""
    names = [m for m in table_of("sd1").modules if "mid_block" in m.name]
    tensors: Tensors = {}
    for i, place in enumerate(names):
        if "resnets" not in place.name:
            own, _ = module(place.shape, 1, i)
            half = {role: array.astype(dtype) for role, array in own.items()}
            tensors |= kohya(half, place.name, 1.0)
    path = tmp_path / "sd.safetensors"
    save_file(tensors, path)
    adapter = read_adapter(path)
    assert adapter.base_model == "sd1" and len(adapter.updates) == 12
    assert "cross-attention reads width 768" in adapter.evidence
    name = "unet.mid_block.attentions.0.proj_in"
    raw = {k.split(".")[-1]: v for k, v in kohya_of(tensors, name).items()}
    exact = (raw["hada_w1_a"].astype("f8") @ raw["hada_w1_b"].astype("f8")) * (
        raw["hada_w2_a"].astype("f8") @ raw["hada_w2_b"].astype("f8")
    )
    np.testing.assert_allclose(adapter.updates[name].dense(), exact, 1e-4, 1e-6)


def kohya_of(tensors: Tensors, name: str) -> Tensors:
    raw = "lora_unet_" + name.removeprefix("unet.").replace(".", "_")
    return {key: array for key, array in tensors.items() if key.startswith(f"{raw}.")}


def test_untrained_modules_are_dead(tmp_path: Path):
    linear, _ = module(zoo_shape(LINEAR))
    conv, _ = module(zoo_shape(CONV))
    conv["hada_w2_a"][:] = 0
    path = tmp_path / "style.safetensors"
    save_file(kohya(linear, LINEAR) | kohya(conv, CONV), path, ZOO)
    adapter = read_adapter(path)
    assert adapter.dead == (CONV,) and set(adapter.updates) == {LINEAR}


def without(role: str) -> Tensors:
    tensors, _ = module(zoo_shape(LINEAR))
    del tensors[role]
    return tensors


def with_shape(role: str, *shape: int) -> Tensors:
    tensors, _ = module(zoo_shape(LINEAR))
    return tensors | {role: np.ones(shape, "f4")}


BAD = {
    "half a set": (without("hada_w2_b"), "found hada_w1_a, hada_w1_b, hada_w2_a"),
    "one core": (
        {
            r: a
            for r, a in module((64, 64, 1), tucker=True)[0].items()
            if r != "hada_t2"
        },
        "with hada_t1 and hada_t2 or neither",
    ),
    "ranks": (with_shape("hada_w2_b", 3, 64), "hada_w2_b [3, 64]"),
    "sides": (with_shape("hada_w2_b", 2, 63), "of one shape"),
    "no axes": (with_shape("hada_w2_b"), "hada_w2_b []"),
    "rank zero": (
        {
            role: np.ones((64, 0) if role.endswith("a") else (0, 64), "f4")
            for role in module((64, 64))[0]
        },
        "hada_w1_a [64, 0]",
    ),
    "NaN": (
        {r: a * np.float32(np.nan) for r, a in module((64, 64))[0].items()},
        "NaN or Inf",
    ),
    "integers": (
        {r: a.astype("i4") for r, a in module((64, 64))[0].items()},
        "found I32",
    ),
    "rank bomb": (module((64, 64), 5000)[0], "a rank of at most 4096"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(tmp_path: Path, case: str):
    tensors, message = BAD[case]
    path = tmp_path / "bad.safetensors"
    save_file(kohya(tensors, LINEAR), path, ZOO)
    with pytest.raises(AdapterError) as refusal:
        read_adapter(path)
    assert message in refusal.value.message and "\n" not in str(refusal.value)


def test_work_is_bounded_before_it_is_done(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("lorajax.adapters.checks.MAX_WORK", 10)
    path = tmp_path / "style.safetensors"
    save_file(kohya(module(zoo_shape(LINEAR), rank=5)[0], LINEAR), path, ZOO)
    with pytest.raises(AdapterError, match=r"at most .* operations, found"):
        read_adapter(path)
