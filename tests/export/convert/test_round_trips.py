"""Files go through all namings and stay the same update."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from lorajax.adapters import read_adapter
from lorajax.export.convert import convert_file
from lorajax.projection.base_space import base_space_vector
from tests.export.convert.making import (
    Known,
    Tensors,
    assert_same,
    factors,
    known,
    kohya_layer,
    shape_of,
    write,
)

ATTENTION = "unet.down_blocks.1.attentions.0"
BLOCK = f"{ATTENTION}.transformer_blocks.0"
MODULES = (
    *(f"{BLOCK}.attn1.to_q", f"{BLOCK}.attn2.to_k", f"{BLOCK}.ff.net.0.proj"),
    *(f"{ATTENTION}.proj_in", "unet.down_blocks.1.resnets.0.conv1"),
)
SAID = {"sd1": "sd_v1", "sdxl": "sdxl_base_v1-0", "flux": "flux1"}
H = 3072


def unet_file(folder: Path, base: str, dtype: str) -> tuple[Path, dict[str, Known]]:
    """A file of kohya's trainer; every module has a rank and an alpha of its own."""
    tensors: Tensors = {}
    expected: dict[str, Known] = {}
    for i, module in enumerate(MODULES):
        name = module.removeprefix("unet.")
        if base == "sdxl":
            name = name.replace("down_blocks.1.attentions.0", "input_blocks.4.1")
            name = name.replace(
                "down_blocks.1.resnets.0.conv1", "input_blocks.4.0.in_layers.2"
            )
        name = "lora_unet_" + name.replace(".", "_")
        shape, rank, alpha = shape_of(base, module), 2 + i // 3, 1.0 + i // 2
        own, expected[module] = kohya_layer(name, shape, rank, alpha, i, dtype)
        tensors |= own
    metadata = {"ss_base_model_version": SAID[base], "ss_tag_frequency": '{"猫": 3}'}
    return write(folder / "own.safetensors", tensors, metadata), expected


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(path, "np") as file:
        return file.metadata()


@pytest.mark.parametrize(
    ("base", "dtype"), [("sd1", "F16"), ("sd1", "BF16"), ("sdxl", "F16")]
)
def test_a_unet_through_all_namings(tmp_path: Path, base: str, dtype: str):
    own, expected = unet_file(tmp_path, base, dtype)
    vector = base_space_vector(read_adapter(own))
    path = own
    for target in ("diffusers", "peft", "kohya"):
        out = tmp_path / (target if target == "peft" else f"{target}.safetensors")
        written = convert_file(path, target, out)
        counts = (written.modules, written.renamed, written.cut, written.stacked)
        assert counts == (len(MODULES), len(MODULES), 0, 0)
        path = Path(written.out)
        assert_same(path, expected)
        assert read_adapter(path).dtype == dtype
        np.testing.assert_allclose(
            base_space_vector(read_adapter(path)), vector, atol=1e-6
        )
        found = metadata_of(path)
        assert found["ss_tag_frequency"] == '{"猫": 3}'
        assert set(json.loads(found["lorajax.converted_from"])) == {
            "format",
            "content_key",
        }
    before, after = load_file(own), load_file(path)
    assert before.keys() == after.keys()
    for name in before.keys() - {n for n in before if n.endswith(".alpha")}:
        assert before[name].shape == after[name].shape
        assert before[name].tobytes() == after[name].tobytes()


def flux_file(folder: Path, shared: bool = False) -> tuple[Path, dict[str, Known]]:
    """Split layers as diffusers writes them, some of a fused one missing."""
    block, single = "transformer_blocks.1", "single_transformer_blocks.2"
    out = {f"{single}.proj_mlp": 4 * H, "norm_out.linear": 2 * H}
    ranks = {
        **{f"{block}.attn.to_{part}": 2 for part in "qkv"},
        **{f"{single}.attn.to_q": 3, f"{single}.proj_mlp": 1, "norm_out.linear": 2},
    }
    tensors: Tensors = {}
    expected: dict[str, Known] = {}
    for i, (name, rank) in enumerate(ranks.items()):
        up, down = factors((out.get(name, H), H), rank, i, "F16")
        if shared and name.startswith(block):
            down = factors((H, H), rank, 99, "F16")[1]
        tensors[f"transformer.{name}.lora_A.weight"] = down
        tensors[f"transformer.{name}.lora_B.weight"] = up
        expected[f"transformer.{name}"] = known(up, down, 1.0)
    metadata = {"ss_base_model_version": SAID["flux"]}
    return write(folder / "split.safetensors", tensors, metadata), expected


@pytest.mark.parametrize("shared", [False, True])
def test_split_layers_are_fused_and_come_back_as_they_were(
    tmp_path: Path, shared: bool
):
    own, expected = flux_file(tmp_path, shared)
    fused = tmp_path / "fused.safetensors"
    written = convert_file(own, "kohya", fused)
    assert (written.layers, written.cut, written.stacked) == (3, 1, 2)
    assert_same(fused, expected)
    name = "lora_unet_double_blocks_1_img_attn_qkv"
    tensors = load_file(fused)
    rank = 2 if shared else 6
    assert tensors[f"{name}.lora_up.weight"].shape == (3 * H, rank)
    assert tensors[f"{name}.lora_down.weight"].dtype == np.float16
    back = convert_file(fused, "diffusers", tmp_path / "back.safetensors")
    assert_same(Path(back.out), expected)
    before, after = load_file(own), load_file(back.out)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[key], after[key]) for key in before)
    peft = convert_file(Path(back.out), "peft", tmp_path / "peft")
    assert_same(Path(peft.out), expected)


def test_a_fused_layer_of_several_scales_is_exact(tmp_path: Path):
    block = "transformer_blocks.1.attn.to_"
    tensors: Tensors = {}
    expected: dict[str, Known] = {}
    patterns = {}
    for i, part in enumerate("qk"):
        up, down = factors((H, H), 2, i, "F16")
        tensors[f"transformer.{block}{part}.lora_A.weight"] = down
        tensors[f"transformer.{block}{part}.lora_B.weight"] = up
        patterns[f"{block}{part}"] = 3 + 2 * i
        expected[f"transformer.{block}{part}"] = known(up, down, (3 + 2 * i) / 2)
    config = {"transformer.r": 2, "transformer.alpha_pattern": patterns}
    metadata = {
        "ss_base_model_version": "flux1",
        "lora_adapter_metadata": json.dumps(config),
    }
    own = write(tmp_path / "own.safetensors", tensors, metadata)
    fused = tmp_path / "fused.safetensors"
    convert_file(own, "kohya", fused)
    assert_same(fused, expected)
    assert "lora_adapter_metadata" not in metadata_of(fused)
    name = "lora_unet_double_blocks_1_img_attn_qkv"
    assert load_file(fused)[f"{name}.lora_down.weight"].dtype == np.float16
    convert_file(fused, "diffusers", tmp_path / "back.safetensors")
    assert_same(tmp_path / "back.safetensors", expected)


def test_magnitudes_go_along(tmp_path: Path):
    name = "lora_unet_double_blocks_1_img_attn_qkv"
    tensors, whole = kohya_layer(name, (3 * H, H), 2, 1.0, 0, "F32")
    marks = np.linspace(1, 9, 3 * H).astype("f4")
    tensors[f"{name}.dora_scale"] = marks.reshape(-1, 1)
    own = write(tmp_path / "a.safetensors", tensors, {"ss_base_model_version": "flux1"})
    modules = [f"transformer.transformer_blocks.1.attn.to_{part}" for part in "qkv"]
    expected = {m: whole.rows(i * H, (i + 1) * H) for i, m in enumerate(modules)}
    path = own
    for target, out in (
        *(("diffusers", "d.safetensors"), ("peft", "p")),
        ("kohya", "k.safetensors"),
    ):
        path = Path(convert_file(path, target, tmp_path / out).out)
        assert_same(path, expected)
        found = read_adapter(path).magnitudes
        for i, module in enumerate(modules):
            values = marks[i * H : (i + 1) * H]
            np.testing.assert_array_equal(found[module].values, values)
    np.testing.assert_array_equal(load_file(path)[f"{name}.dora_scale"][:, 0], marks)
    config = json.loads((tmp_path / "p" / "adapter_config.json").read_text())
    assert config["use_dora"] is True


def test_all_parts_of_stable_diffusion_3(tmp_path: Path):
    """A third text encoder has alphas of its own; the last block swaps its halves."""
    width = 1536
    layers = {
        "lora_te1_text_model_encoder_layers_0_mlp_fc1": (3072, 768),
        "lora_te2_text_model_encoder_layers_1_mlp_fc2": (1280, 5120),
        "lora_te3_encoder_block_0_layer_0_SelfAttention_q": (4096, 4096),
        "lora_unet_joint_blocks_23_context_block_adaLN_modulation_1": (
            2 * width,
            width,
        ),
        "lora_unet_joint_blocks_0_x_block_mlp_fc1": (4 * width, width),
    }
    tensors: Tensors = {}
    updates: list[Known] = []
    for i, (name, shape) in enumerate(layers.items()):
        own, update = kohya_layer(name, shape, 2 + i, 1.0 + i, i, "BF16")
        tensors |= own
        updates.append(update)
    block = "transformer.transformer_blocks"
    swapped = updates[3]
    order = [*range(width, 2 * width), *range(width)]
    expected = {
        "text_encoder.text_model.encoder.layers.0.mlp.fc1": updates[0],
        "text_encoder_2.text_model.encoder.layers.1.mlp.fc2": updates[1],
        "text_encoder_3.encoder.block.0.layer.0.SelfAttention.q": updates[2],
        f"{block}.23.norm1_context.linear": Known(
            swapped.up[order], swapped.down, swapped.scale
        ),
        f"{block}.0.ff.net.0.proj": updates[4],
    }
    metadata = {"ss_base_model_version": "sd3-medium"}
    path = write(tmp_path / "own.safetensors", tensors, metadata)
    assert_same(path, expected)
    there = convert_file(path, "diffusers", tmp_path / "there.safetensors")
    assert (there.renamed, there.cut, there.base_model) == (4, 1, "sd3-medium")
    assert_same(Path(there.out), expected)
    back = convert_file(Path(there.out), "kohya", tmp_path / "back.safetensors")
    assert_same(Path(back.out), expected)
    after = load_file(back.out)
    for name in layers:
        for part in ("up", "down"):
            key = f"{name}.lora_{part}.weight"
            assert tensors[key].tobytes() == after[key].tobytes()


def test_the_base_goes_along_where_only_the_former_names_told_it(tmp_path: Path):
    """XLabs' names are FLUX's alone; split as diffusers' they fit other models too."""
    name = "double_blocks.0.processor.qkv_lora1"
    up, down = factors((3 * H, H), 2, 0, "BF16")
    tensors = {f"{name}.up.weight": up, f"{name}.down.weight": down}
    own = write(tmp_path / "own.safetensors", tensors, {})
    whole = known(up, down, 1.0)
    block = "transformer.transformer_blocks.0.attn.to_"
    expected = {
        f"{block}{part}": whole.rows(i * H, (i + 1) * H) for i, part in enumerate("qkv")
    }
    for target, out in (("diffusers", "d.safetensors"), ("kohya", "k.safetensors")):
        written = convert_file(own, target, tmp_path / out)
        assert (written.source_format, written.base_model) == ("xlabs", "flux")
        assert_same(Path(written.out), expected)
