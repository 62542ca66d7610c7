"""LoKr against `np.kron`, in every dialect that writes it."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from lorajax.adapters import (
    DenseUpdate,
    KroneckerUpdate,
    LowRankUpdate,
    Update,
    inner,
    inspect_file,
    read_adapter,
    sketch,
)
from lorajax.config import FeatureSettings
from lorajax.errors import AdapterError, LorajaxError
from lorajax.naming import table_of
from lorajax.projection.base_space import base_space_vector
from lorajax.projection.gram_pca import GramPCA
from tests.adapters.assertions import assert_behaves, close

Tensors = dict[str, np.ndarray]
BLOCK = "unet.mid_block.attentions.0.transformer_blocks.0"
LINEAR = f"{BLOCK}.ff.net.0.proj"  # [256, 64]
CONV = "unet.mid_block.resnets.0.conv1"  # [64, 64, 3, 3]
ZOO = {"ss_base_model_version": "lorajax-zoo-1"}
FORMS = ("whole", "pair", "tucker")


@st.composite
def matrices(draw: st.DrawFn) -> LowRankUpdate | DenseUpdate:
    """Whole or of low rank, in two precisions."""
    out, in_ = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = draw(st.sampled_from([np.float64, np.float32]))
    if draw(st.booleans()):
        return DenseUpdate(rng.standard_normal((out, in_)).astype(dtype))
    rank = draw(st.integers(1, 3))
    up, down = rng.standard_normal((out, rank)), rng.standard_normal((rank, in_))
    return LowRankUpdate(up.astype(dtype), down.astype(dtype))


def oracle(update: KroneckerUpdate) -> np.ndarray:
    left, right = (m.dense().astype(float) for m in (update.left, update.right))
    return update.scale * np.kron(left, right)


@settings(deadline=None)
@given(matrices(), matrices(), st.floats(0.01, 4), st.integers(0, 2**32))
def test_algebra_equals_the_dense_product(left, right, scale: float, seed: int):
    update = KroneckerUpdate(left, right, -scale)
    assert isinstance(update, Update)
    assert_behaves(update, oracle(update), seed)


@settings(deadline=None)
@given(matrices(), matrices(), st.integers(0, 2**32))
def test_how_the_product_is_written_does_not_show(left, right, seed: int):
    """Numbers may move from one matrix to the other, and pairs be multiplied out."""
    update = KroneckerUpdate(left, right, 0.5)
    whole = DenseUpdate(left.dense().astype(float) * 4)
    other = KroneckerUpdate(whole, DenseUpdate(right.dense() / 8))
    rng = np.random.default_rng(seed)
    sides = (
        rng.standard_normal((update.shape[0], 2)),
        rng.standard_normal((update.shape[1], 3)),
    )
    close(sketch(other, *sides), sketch(update, *sides))
    close(inner(other, update), update.squared_norm())
    assert other.is_zero() == update.is_zero()


def test_factors_are_given_only_where_they_are_small():
    rng = np.random.default_rng(0)

    def low(side: int, rank: int) -> LowRankUpdate:
        return LowRankUpdate(
            rng.standard_normal((side, rank)), rng.standard_normal((rank, side))
        )

    both, whole = KroneckerUpdate(low(8, 2), low(16, 2)), DenseUpdate(np.ones((4, 4)))
    pair = both.factors()
    assert pair is not None and pair[1].shape == (4, 128)
    pair = KroneckerUpdate(whole, low(32, 2)).factors()
    assert pair is not None and pair[1].shape == (8, 128)
    assert KroneckerUpdate(low(8, 8), low(16, 8)).factors() is None
    assert KroneckerUpdate(whole, DenseUpdate(np.ones((32, 32)))).factors() is None


def test_zero_updates_are_known_as_such():
    rng = np.random.default_rng(0)
    up, down = rng.standard_normal((8, 2)), rng.standard_normal((2, 8))
    plain, whole = LowRankUpdate(up, down), DenseUpdate(down)
    assert not KroneckerUpdate(plain, whole).is_zero()
    assert KroneckerUpdate(plain, whole, 0.0).is_zero()
    assert KroneckerUpdate(LowRankUpdate(0 * up, down), whole).is_zero()
    assert KroneckerUpdate(plain, DenseUpdate(0 * down)).is_zero()


# Files


def matrix(
    shape: tuple[int, ...], form: str, rank: int, rng: np.random.Generator
) -> tuple[Tensors, np.ndarray]:
    """LyCORIS' tensors of a matrix by the ends of their names, and the matrix."""

    def some(*sides: int) -> np.ndarray:
        return rng.standard_normal(sides).astype("f4")

    out, in_, *kernel = shape
    if form == "whole":
        weight = some(*shape)
        return {"": weight}, weight.astype("f8")
    if form == "tucker":
        t, a, b = some(rank, rank, *kernel), some(rank, out), some(rank, in_)
        wide = (array.astype("f8") for array in (t, a, b))
        weight = np.einsum("ij...,io,jn->on...", *wide)
        return {"_a": a, "_b": b, "t": t}, weight
    a, b = some(out, rank), some(rank, in_ * int(np.prod(kernel)))
    return {"_a": a, "_b": b}, (a.astype("f8") @ b).reshape(shape)


def module(
    name: str, forms: tuple[str, str], rank: int = 2, seed: int = 0, base: str = ""
) -> tuple[Tensors, np.ndarray]:
    """A module's tensors and kron(w1, w2) over outputs and inputs, flattened."""
    rng = np.random.default_rng(seed)
    shapes = {m.name: m.shape for m in table_of(base or "lorajax-zoo-1").modules}
    out, in_, *kernel = shapes[name]
    w1, left = matrix((8, 4), forms[0], rank, rng)
    w2, right = matrix((out // 8, in_ // 4, *kernel), forms[1], rank, rng)
    tensors = {f"lokr_w1{end}": array for end, array in w1.items()}
    tensors |= {f"lokr_w2{end}": array for end, array in w2.items() if end != "t"}
    if "t" in w2:
        tensors["lokr_t2"] = w2["t"]
    weight = np.kron(left.reshape(8, 4, *[1] * len(kernel)), right)
    return tensors, weight.reshape(out, -1)


def kohya(tensors: Tensors, name: str, alpha: float | None = None) -> Tensors:
    raw = "lora_unet_" + name.removeprefix("unet.").replace(".", "_")
    extra = {} if alpha is None else {f"{raw}.alpha": np.array(alpha, "f4")}
    return {f"{raw}.{role}": array for role, array in tensors.items()} | extra


@pytest.mark.parametrize("alpha", [None, 0.0, 1.0, 9999999999.0])
@pytest.mark.parametrize("w1", FORMS[:2])
@pytest.mark.parametrize("w2", FORMS)
def test_lycoris_files(tmp_path: Path, alpha: float | None, w1: str, w2: str):
    """Two whole matrices ignore alpha, which programs then set to anything."""
    whole = w1 == w2 == "whole"
    alpha = 1.0 if alpha and not whole else alpha
    linear, dense = module(LINEAR, (w1, "pair" if w2 == "tucker" else w2))
    conv, dense_conv = module(CONV, (w1, w2), 4, 1)
    path = tmp_path / "style.safetensors"
    save_file(kohya(linear, LINEAR, alpha) | kohya(conv, CONV, alpha), path, ZOO)
    adapter = read_adapter(path)
    assert (adapter.family, adapter.format, adapter.tier) == ("lokr", "kohya", "exact")
    assert adapter.ranks == {CONV: 64 if whole else 4, LINEAR: 64 if whole else 2}
    for name, weight, rank in ((LINEAR, dense, 2), (CONV, dense_conv, 4)):
        scale = alpha / rank if alpha and not whole else 1.0
        assert_behaves(adapter.updates[name], scale * weight, 0)
    facts = inspect_file(path)
    assert facts.family == "lokr" and facts.modules.mapped == 2
    assert facts.norm == pytest.approx(adapter.norm)


@pytest.mark.parametrize("dotted", [False, True])
def test_names_of_other_trainers(tmp_path: Path, dotted: bool):
    """ai-toolkit's old prefix, and the dots of its new names."""
    tensors, dense = module(LINEAR, ("whole", "pair"))
    name = LINEAR.removeprefix("unet.").replace(".", "_")
    raw = LINEAR if dotted else f"lycoris_{name}"
    path = tmp_path / "style.safetensors"
    save_file({f"{raw}.{role}": array for role, array in tensors.items()}, path, ZOO)
    close(read_adapter(path).updates[LINEAR].dense(), dense)


@pytest.mark.parametrize(
    ("forms", "config", "scale"),
    [
        (("whole", "pair"), {"alpha": 4, "r": 2}, 2.0),
        (("whole", "pair"), {"alpha": 4, "r": 99}, 2.0),
        (("whole", "whole"), {"alpha": 4, "r": 16}, 0.25),
        (("whole", "whole"), {}, 1.0),
        (("whole", "whole"), {"alpha": 4, "rank_pattern": {"net.0.proj": 2}}, 2.0),
    ],
)
def test_peft_files(tmp_path: Path, forms, config: dict, scale: float):
    tensors, dense = module(LINEAR, forms)
    start = f"base_model.model.{LINEAR.removeprefix('unet.')}"
    path = tmp_path / "adapter_model.safetensors"
    save_file({f"{start}.{role}": a for role, a in tensors.items()}, path)
    config |= {"peft_type": "LOKR", "base_model_name_or_path": "lorajax-zoo-1"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    adapter = read_adapter(path)
    assert (adapter.family, adapter.format) == ("lokr", "peft")
    close(adapter.updates[LINEAR].dense(), scale * dense)


@pytest.mark.parametrize("rank", [0, -1, True, 2.0, "8", 10**30, [8]])
def test_a_rank_that_is_none_is_refused(tmp_path: Path, rank: object):
    tensors, _ = module(LINEAR, ("whole", "whole"))
    start = f"base_model.model.{LINEAR.removeprefix('unet.')}"
    path = tmp_path / "adapter_model.safetensors"
    save_file({f"{start}.{role}": a for role, a in tensors.items()}, path, ZOO)
    config = json.dumps({"peft_type": "LOKR", "r": rank})
    (tmp_path / "adapter_config.json").write_text(config)
    with pytest.raises(AdapterError, match="expected a rank from 1 to"):
        read_adapter(path)


def test_families_may_be_mixed(tmp_path: Path):
    tensors, dense = module(LINEAR, ("whole", "pair"))
    up, down = np.ones((64, 1, 1, 1), "f4"), np.ones((1, 64, 3, 3), "f4")
    low = {"lora_up.weight": up, "lora_down.weight": down}
    path = tmp_path / "style.safetensors"
    save_file(kohya(tensors, LINEAR, 2.0) | kohya(low, CONV, 1.0), path, ZOO)
    adapter = read_adapter(path)
    assert adapter.family == "lora+lokr" and adapter.ranks == {CONV: 1, LINEAR: 2}
    close(adapter.updates[LINEAR].dense(), dense)
    close(adapter.updates[CONV].dense(), np.ones((64, 576)))


def test_stable_diffusion_files(tmp_path: Path):
    """Blocks of SD 1.5 with Tucker convolutions, as LyCORIS writes them."""
    names = [
        "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k",
        "unet.mid_block.attentions.0.proj_in",
        "unet.mid_block.resnets.0.conv1",
    ]
    tensors: Tensors = {}
    expected: Tensors = {}
    for i, name in enumerate(names):
        form = "tucker" if name.endswith("conv1") else "pair"
        own, expected[name] = module(name, ("whole", form), 2, i, "sd1")
        tensors |= kohya(own, name, 1.0)
    path = tmp_path / "sd.safetensors"
    save_file(tensors, path)
    adapter = read_adapter(path)
    assert adapter.base_model == "sd1" and set(adapter.updates) == set(names)
    right = np.random.default_rng(0).standard_normal((1280 * 9, 2))
    for name, weight in expected.items():
        sides = right[: weight.shape[1]]
        product = adapter.updates[name].matmul(sides)
        np.testing.assert_allclose(product, 0.5 * weight @ sides, 1e-3, 1e-2)


def test_dead_modules_and_the_base_space(tmp_path: Path):
    linear, _ = module(LINEAR, ("whole", "whole"))
    conv, _ = module(CONV, ("whole", "pair"))
    conv["lokr_w2_b"][:] = 0
    path = tmp_path / "style.safetensors"
    save_file(kohya(linear, LINEAR) | kohya(conv, CONV), path, ZOO)
    adapter = read_adapter(path)
    assert adapter.dead == (CONV,) and set(adapter.updates) == {LINEAR}
    dense = adapter.updates[LINEAR].dense()
    pair = {"up": dense, "down": np.eye(64, dtype="f4")}
    low = {f"lora_{half}.weight": array for half, array in pair.items()}
    plain = tmp_path / "plain.safetensors"
    save_file(kohya(low, LINEAR), plain, ZOO)
    close(base_space_vector(adapter), base_space_vector(read_adapter(plain)))


@pytest.mark.parametrize("mixed", [False, True])
def test_gram_pca_takes_updates_without_factors(tmp_path: Path, mixed: bool):
    """The distances of scores are those of the dense updates."""
    adapters, rows = [], []
    for seed in range(8):
        pair = mixed and seed % 4 != 0
        if pair:
            rng = np.random.default_rng(seed)
            up, down = rng.standard_normal((256, 2)), rng.standard_normal((2, 64))
            tensors = {"lora_up.weight": up, "lora_down.weight": down}
        else:
            tensors, _ = module(LINEAR, ("whole", "whole"), seed=seed)
        path = tmp_path / f"{seed}.safetensors"
        tensors = {role: array.astype("f4") for role, array in tensors.items()}
        save_file(kohya(tensors, LINEAR), path, ZOO)
        adapters.append(read_adapter(path))
        rows.append(adapters[-1].updates[LINEAR].dense().reshape(-1))
    train = np.arange(6)
    plain = FeatureSettings(projection="gram_pca", components=8, scale="none")
    projection = GramPCA(plain)
    projection.fit(adapters)
    basis = projection.basis_of(train)
    together = projection.features_of(basis, train, np.arange(8)).scores[:, 0]
    for i in (0, 1, 7):
        np.testing.assert_allclose(
            basis.transform(adapters[i]).scores[0, 0], together[i], atol=1e-3
        )
    found = np.linalg.norm(together[0] - together[1:6], axis=1)
    wanted = np.linalg.norm(rows[0] - np.stack(rows[1:6]), axis=1)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def changed(forms: tuple[str, str] = ("pair", "pair"), **more: np.ndarray | None):
    tensors, _ = module(LINEAR, forms)
    tensors |= {role: array for role, array in more.items() if array is not None}
    return {
        role: a
        for role, a in tensors.items()
        if role not in more or more[role] is not None
    }


BAD = {
    "half a matrix": (changed(lokr_w2_b=None), "found lokr_w1_a, lokr_w1_b, lokr_w2_a"),
    "one matrix": (
        {"lokr_w1": np.ones((256, 64), "f4")},
        "and the same of lokr_w2, for",
    ),
    "twice": (changed(lokr_w2=np.ones((32, 16), "f4")), "found lokr_w1_a"),
    "ranks": (changed(lokr_w1_b=np.ones((3, 4), "f4")), "lokr_w1_b [3, 4]"),
    "rank zero": (
        changed(lokr_w1_a=np.ones((8, 0), "f4"), lokr_w1_b=np.ones((0, 4), "f4")),
        "lokr_w1_a [8, 0]",
    ),
    "sides": (changed(lokr_w1_b=np.ones((2, 5), "f4")), "found [256, 80]"),
    "no axes": (changed(lokr_w1_b=np.ones((), "f4")), "found [256, 0]"),
    "alpha": (
        changed(("whole", "whole"), alpha=np.ones(2, "f4")),
        "expected one alpha",
    ),
    "Inf": (changed(lokr_w1_b=np.full((2, 4), np.inf, "f4")), "8 NaN or Inf of 8"),
    "rank bomb": (
        changed(lokr_w1_a=np.ones((8, 5000), "f4"), lokr_w1_b=np.ones((5000, 4), "f4")),
        "a rank of at most 4096",
    ),
    "two families": (
        changed() | {"hada_w1_a": np.ones((256, 2), "f4")},
        "expected one kind of update",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(tmp_path: Path, case: str):
    tensors, message = BAD[case]
    path = tmp_path / "bad.safetensors"
    save_file(kohya(tensors, LINEAR), path, ZOO)
    with pytest.raises(LorajaxError) as refusal:
        read_adapter(path)
    assert message in refusal.value.message and "\n" not in str(refusal.value)
