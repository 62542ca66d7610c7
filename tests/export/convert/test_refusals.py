"""What is refused, and that the source and other files stay as they are."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from lorajax.errors import FormatError, NamingError
from lorajax.export.convert import convert_file
from lorajax.formats import open_tensor_file
from tests.adapters.zoo_files import (
    CONV,
    SQUARE,
    Tensors,
    kohya,
    lora,
    write,
    write_peft,
)
from tests.export.convert.making import factors
from tests.export.convert.making import write as write_any

RAW = "lora_unet_" + SQUARE.removeprefix("unet.").replace(".", "_")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return write(tmp_path / "own.safetensors", kohya(lora(SQUARE)[0], SQUARE, 2.0))


def with_more(folder: Path, more: Tensors) -> Path:
    tensors = kohya(lora(SQUARE)[0], SQUARE, 2.0)
    return write(folder / "more.safetensors", tensors | more)


@pytest.mark.parametrize("how", ["itself", "link", "hard link", "path"])
def test_nothing_is_converted_in_place(own: Path, how: str):
    before, out = own.read_bytes(), own
    if how == "link":
        out = own.with_name("link.safetensors")
        out.symlink_to(own)
    elif how == "hard link":
        out = own.with_name("hard.safetensors")
        os.link(own, out)
    elif how == "path":
        out = own.parent / ".." / own.parent.name / own.name
    with pytest.raises(FormatError, match="found the source itself"):
        convert_file(own, "diffusers", out, force=True)
    assert own.read_bytes() == before


def test_the_configuration_of_the_source_is_not_replaced(tmp_path: Path):
    arrays = {
        f"{SQUARE.removeprefix('unet.')}.lora_{side}.weight": np.ones(shape, "f4")
        for side, shape in (("A", (2, 64)), ("B", (64, 2)))
    }
    path = write_peft(tmp_path / "p", arrays, r=2, lora_alpha=6)
    other = path.rename(path.with_name("adapter_model_v2.safetensors"))
    with pytest.raises(FormatError, match="found the source itself"):
        convert_file(other, "peft", tmp_path / "p", force=True)


def test_only_force_replaces_a_file(own: Path):
    out = own.with_name("out.safetensors")
    out.write_bytes(b"mine")
    with pytest.raises(FormatError, match="found one of this name"):
        convert_file(own, "diffusers", out)
    assert out.read_bytes() == b"mine"
    convert_file(own, "diffusers", out, force=True)
    assert len(load_file(out)) == 2
    assert {path.name for path in own.parent.iterdir()} == {own.name, out.name}


@pytest.mark.parametrize(
    ("target", "out", "found"),
    [
        ("kohya", "out.bin", "a name that ends in"),
        ("diffusers", "adapter_model.safetensors", "none of PEFT's"),
        ("peft", "out.safetensors", "expected a folder or adapter_model"),
        ("kohya", "no/out.safetensors", "expected a folder to write to"),
    ],
)
def test_places_that_no_program_reads(own: Path, target: str, out: str, found: str):
    with pytest.raises(FormatError, match=found):
        convert_file(own, target, own.parent / out)
    assert [path.name for path in own.parent.iterdir()] == [own.name]


@pytest.mark.parametrize(
    ("target", "out"), [("diffusers", "out.safetensors"), ("peft", "out")]
)
def test_a_failure_leaves_nothing_behind(
    own: Path, monkeypatch: pytest.MonkeyPatch, target: str, out: str
):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FormatError, match="No space left"):
        convert_file(own, target, own.with_name(out))
    assert [path.name for path in own.parent.iterdir()] == [own.name]


def test_modules_outside_the_base_are_listed(tmp_path: Path):
    more = {
        "lora_unet_strange_layer.lora_up.weight": np.ones((4, 2), "f4"),
        "lora_unet_strange_layer.lora_down.weight": np.ones((2, 4), "f4"),
    }
    path = with_more(tmp_path, more | kohya(lora(CONV)[0], CONV, 2.0))
    with pytest.raises(NamingError, match="1 that it does not have: lora_unet_strange"):
        convert_file(path, "diffusers", tmp_path / "out.safetensors")


def test_side_tensors_are_kept_refused_or_dropped_aloud(tmp_path: Path):
    side = {"lora_unet_norm.w_norm": np.ones(4, "f4")}
    path = with_more(tmp_path, side)
    kept = convert_file(path, "kohya", tmp_path / "kohya.safetensors")
    assert kept.kept_side == tuple(side)
    assert load_file(kept.out)["lora_unet_norm.w_norm"].sum() == 4
    with pytest.raises(NamingError, match=r"no names for: lora_unet_norm\.w_norm"):
        convert_file(path, "peft", tmp_path / "peft")
    assert not (tmp_path / "peft").exists()
    dropped = convert_file(path, "peft", tmp_path / "peft", drop_side=True)
    assert (dropped.kept_side, dropped.dropped_side) == ((), tuple(side))


def test_a_tucker_core_goes_to_kohya_alone(tmp_path: Path):
    tensors = {
        "lora_up.weight": np.ones((64, 2, 1, 1), "f4"),
        "lora_mid.weight": np.ones((2, 2, 3, 3), "f4"),
        "lora_down.weight": np.ones((2, 128, 1, 1), "f4"),
    }
    path = write(tmp_path / "own.safetensors", kohya(tensors, CONV, 2.0))
    with pytest.raises(NamingError, match="found 1 with a Tucker core"):
        convert_file(path, "diffusers", tmp_path / "out.safetensors")
    assert convert_file(path, "kohya", tmp_path / "out.safetensors").renamed == 1


def test_two_parts_of_a_model_are_no_peft_adapter(tmp_path: Path):
    tensors: Tensors = {}
    text = "text_encoder.text_model.encoder.layers.0.mlp.fc1"
    unet = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
    for name, shape in ((text, (3072, 768)), (unet, (320, 768))):
        up, down = factors(shape, 2, 0)
        tensors |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
    metadata = {"ss_base_model_version": "sd_v1"}
    path = write_any(tmp_path / "own.safetensors", tensors, metadata)
    with pytest.raises(NamingError, match="found text_encoder and unet"):
        convert_file(path, "peft", tmp_path / "out")
    written = convert_file(path, "kohya", tmp_path / "out.safetensors")
    assert {name.split(".")[0] for name in load_file(written.out)} == {
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k",
        "lora_te_text_model_encoder_layers_0_mlp_fc1",
    }


def test_families_and_bases_without_names(tmp_path: Path):
    blocks = {f"{RAW}.oft_blocks": np.zeros((8, 8, 8), "f4")}
    path = write(tmp_path / "oft.safetensors", blocks)
    with pytest.raises(NamingError, match="expected lora or loha or lokr, found oft"):
        convert_file(path, "peft", tmp_path / "out")
    names = [f"model.layers.{i}.self_attn.q_proj" for i in range(2)]
    arrays = {
        f"{name}.lora_{side}.weight": np.ones(shape, "f4")
        for name in names
        for side, shape in (("A", (2, 96)), ("B", (96, 2)))
    }
    language = write_peft(
        tmp_path / "l", arrays, base_model_name_or_path="a/llama", r=2, lora_alpha=2
    )
    with pytest.raises(NamingError, match="names in several dialects, found"):
        convert_file(language, "kohya", tmp_path / "out.safetensors")


def test_the_base_that_peft_names_goes_along(tmp_path: Path):
    """The zoo's layers look like another model's without it."""
    module = SQUARE.removeprefix("unet.")
    arrays = {
        f"{module}.lora_A.weight": np.ones((2, 64), "f4"),
        f"{module}.lora_B.weight": np.ones((64, 2), "f4"),
    }
    path = write_peft(tmp_path / "p", arrays, r=2, lora_alpha=6, use_rslora=True)
    there = convert_file(path, "diffusers", tmp_path / "d.safetensors")
    assert there.base_model == "lorajax-zoo-1"
    back = convert_file(Path(there.out), "peft", tmp_path / "back")
    assert back.config is not None
    config = json.loads(Path(back.config).read_text())
    assert config["lora_alpha"] / config["r"] == pytest.approx(6 / 2**0.5)
    assert (config["use_rslora"], config["peft_type"]) == (False, "LORA")


def test_what_needs_its_configuration_does_not_go_along(tmp_path: Path):
    module = SQUARE.removeprefix("unet.")
    arrays = {
        f"{module}.lora_A.weight": np.ones((2, 64), "f4"),
        f"{module}.lora_B.weight": np.ones((64, 2), "f4"),
        f"{module}.lora_B.bias": np.ones(64, "f4"),
    }
    path = write_peft(tmp_path / "p", arrays, r=2, lora_alpha=6, lora_bias=True)
    for target, out in (("kohya", "k.safetensors"), ("peft", "again")):
        with pytest.raises(NamingError, match=r"lora_B\.bias"):
            convert_file(path, target, tmp_path / out)


def test_metadata_with_half_a_character_goes_along(own: Path):
    raw = own.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    header["__metadata__"]["title"] = "\ud800"
    text = json.dumps(header).encode()
    own.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])
    out = own.with_name("out.safetensors")
    convert_file(own, "diffusers", out)
    assert open_tensor_file(out).metadata["title"] == "\ud800"
