"""One update in two dialects: fused or split, its halves either way round."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lorajax.adapters import Adapter, inner, read_adapter
from lorajax.adapters.dense import DenseUpdate
from lorajax.adapters.low_rank import LowRankUpdate
from lorajax.adapters.rows import StackedUpdate, cut
from lorajax.projection.base_space import base_space_vector
from tests.adapters.assertions import assert_behaves

H = 3072
FLUX, SD3 = ({"ss_base_model_version": name} for name in ("flux1", "sd3-medium"))
NARROW = 1536  # of Stable Diffusion 3, where dense products are quick
NARROW_QKV = "lora_unet_joint_blocks_1_x_block_attn_qkv"
QKV = ("attn.to_q", "attn.to_k", "attn.to_v")
Tensors = dict[str, np.ndarray]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype("f4")


def read(
    folder: Path, name: str, tensors: Tensors, metadata: dict[str, str] = FLUX
) -> Adapter:
    path = folder / f"{name}.safetensors"
    copies = {key: np.ascontiguousarray(array) for key, array in tensors.items()}
    save_file(copies, path, metadata=metadata)
    return read_adapter(path)


def pair(name: str, up: np.ndarray, down: np.ndarray) -> Tensors:
    return {f"{name}.lora_B.weight": up, f"{name}.lora_A.weight": down}


def assert_equal(one: Adapter, other: Adapter) -> None:
    """The same modules with the same ΔW, and one vector."""
    assert list(one.updates) == list(other.updates)
    for module, update in one.updates.items():
        there = other.updates[module]
        assert update.shape == there.shape
        norms = update.squared_norm() * there.squared_norm()
        assert inner(update, there) == pytest.approx(norms**0.5, rel=1e-5)
        assert update.squared_norm() == pytest.approx(there.squared_norm(), rel=1e-5)
    cosine = base_space_vector(one) @ base_space_vector(other)
    assert cosine == pytest.approx(1.0, abs=1e-5)


def test_fused_and_split_files_of_one_update_are_one(tmp_path: Path, rng):
    """kohya's double block and single block against diffusers' layers."""
    fused: Tensors = {}
    split: Tensors = {}
    double = ("double_blocks_0_img_attn_qkv", "transformer_blocks.0", (H, H, H))
    single = (
        "single_blocks_3_linear1",
        "single_transformer_blocks.3",
        (H, H, H, 4 * H),
    )
    for raw, block, rows in (double, single):
        up, down = normal(rng, sum(rows), 2), normal(rng, 2, H)
        fused[f"lora_unet_{raw}.lora_up.weight"] = up
        fused[f"lora_unet_{raw}.lora_down.weight"] = down
        fused[f"lora_unet_{raw}.alpha"] = np.array(1.0, "f4")
        ends = np.cumsum(rows)[:-1]
        for part, own in zip((*QKV, "proj_mlp"), np.split(up, ends), strict=False):
            split |= pair(f"transformer.{block}.{part}", own / 2, down)
    assert_equal(
        read(tmp_path, "fused", fused),
        read(tmp_path, "split", split),
    )


def test_trained_apart_and_fused_on_saving(tmp_path: Path, rng):
    """kohya's split_qkv: three pairs of rank 2 become one of rank 6, mostly zeros."""
    ups, downs = normal(rng, 3, H, 2), normal(rng, 3, 2, H)
    sparse = np.zeros((3 * H, 6), "f4")
    for j in range(3):
        sparse[j * H : (j + 1) * H, 2 * j : 2 * j + 2] = ups[j]
    raw = "diffusion_model.double_blocks.4.txt_attn.qkv"
    fused = read(tmp_path, "fused", pair(raw, sparse, downs.reshape(6, H)))
    split: Tensors = {}
    for j, part in enumerate("qkv"):
        name = f"transformer.transformer_blocks.4.attn.add_{part}_proj"
        split |= pair(name, ups[j], downs[j])
    assert_equal(fused, read(tmp_path, "split", split))


def test_shift_and_scale_change_places(tmp_path: Path, rng):
    up, down = normal(rng, 2 * H, 2), normal(rng, 2, H)
    native = pair("final_layer.adaLN_modulation.1", up, down)
    turned = pair("transformer.norm_out.linear", np.roll(up, H, axis=0), down)
    block = pair("transformer.transformer_blocks.0.attn.to_out.0", up[:H], down)
    own = pair("double_blocks.0.img_attn.proj", up[:H], down)
    assert_equal(
        read(tmp_path, "native", native | own),
        read(tmp_path, "diffusers", turned | block),
    )


def test_a_zero_part_of_a_fused_layer_is_dead(tmp_path: Path, rng):
    up = normal(rng, 3 * H, 2)
    up[H : 2 * H] = 0
    raw = "diffusion_model.double_blocks.0.img_attn.qkv"
    adapter = read(tmp_path, "half", pair(raw, up, normal(rng, 2, H)))
    assert adapter.dead == ("transformer.transformer_blocks.0.attn.to_k",)
    assert len(adapter.updates) == 2 and set(adapter.ranks.values()) == {2}


@pytest.mark.parametrize("block", [96, 72])
def test_rows_of_a_kronecker_product(tmp_path: Path, rng, block: int):
    """Blocks of w2 end where the parts do, or one lies across both."""
    out = 3 * NARROW
    w1, w2 = normal(rng, out // block, 3), normal(rng, block, NARROW // 3)
    raw = NARROW_QKV
    adapter = read(tmp_path, "lokr", {f"{raw}.lokr_w1": w1, f"{raw}.lokr_w2": w2}, SD3)
    dense = np.kron(w1, w2)
    assert list(adapter.updates) == [
        f"transformer.transformer_blocks.1.{p}" for p in QKV
    ]
    key = adapter.updates["transformer.transformer_blocks.1.attn.to_k"]
    assert_behaves(key, dense[NARROW : 2 * NARROW].astype("f8"), 0)


def test_rows_of_a_hadamard_product(tmp_path: Path, rng):
    raw, h = NARROW_QKV, NARROW
    tensors = {f"{raw}.hada_w{i}_a": normal(rng, 3 * h, 2) for i in (1, 2)}
    tensors |= {f"{raw}.hada_w{i}_b": normal(rng, 2, h) for i in (1, 2)}
    adapter = read(tmp_path, "loha", tensors, SD3)
    first, second = (
        tensors[f"{raw}.hada_w{i}_a"] @ tensors[f"{raw}.hada_w{i}_b"] for i in (1, 2)
    )
    dense = (first * second).astype("f8")
    key = adapter.updates["transformer.transformer_blocks.1.attn.to_k"]
    assert_behaves(key, dense[NARROW : 2 * NARROW], 0)


@pytest.mark.parametrize("low_rank", [True, False])
def test_several_spans_in_their_order(rng, low_rank: bool):
    up, down = normal(rng, 9, 2), normal(rng, 2, 5)
    whole = LowRankUpdate(up, down) if low_rank else DenseUpdate(up @ down)
    part = cut(whole, ((6, 9), (0, 3)))
    assert isinstance(part, LowRankUpdate if low_rank else StackedUpdate)
    expected = (up @ down)[[6, 7, 8, 0, 1, 2]].astype("f8")
    assert_behaves(part, expected, 0)
    assert_behaves(part.rows(1, 3), expected[1:3], 0)
    assert_behaves(part.rows(2, 5), expected[2:5], 0)
    assert not part.is_zero()
    assert cut(whole, ()) is whole
