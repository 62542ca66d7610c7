"""Bad input: one clear line, the right exit code, and the rest goes on."""

import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

from lorajax.cli import app

REAL = Path(__file__).parents[1] / "data" / "real"
runner = CliRunner()


def truncated(path: Path) -> None:
    whole = next(REAL.rglob("*.safetensors")).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def lfs_pointer(path: Path) -> None:
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    path.write_text(text, encoding="utf-8")


def textual_inversion(path: Path) -> None:
    save_file({"emb_params": np.ones((2, 768), "f4")}, path)


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({"a": 1}))


def lora(path: Path, up: float) -> None:
    name = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
    tensors = {
        f"{name}.lora_up.weight": np.full((1280, 2), up, "f4"),
        f"{name}.lora_down.weight": np.ones((2, 768), "f4"),
    }
    save_file(tensors, path)


def not_a_number(path: Path) -> None:
    lora(path, float("nan"))


def all_zero(path: Path) -> None:
    lora(path, 0.0)


def lying_header(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 2**60) + b"{}")


BAD = [
    (truncated, "bad.safetensors", "truncated|shorter|ends"),
    (lfs_pointer, "bad.safetensors", "LFS"),
    (textual_inversion, "bad.safetensors", "textual inversion"),
    (pickled, "bad.safetensors", "pickle"),
    (pickled, "bad.pt", "unsafe format"),
    (pickled, "bad.ckpt", "unsafe format"),
    (pickled, "bad.bin", "unsafe format"),
    (not_a_number, "bad.safetensors", "NaN|not finite|finite"),
    (all_zero, "bad.safetensors", "zero"),
    (lying_header, "bad.safetensors", "header"),
]


@pytest.mark.parametrize(("make", "name", "words"), BAD)
def test_a_bad_file_is_named_and_the_rest_goes_on(
    tmp_path: Path, make, name: str, words: str
) -> None:
    folder = tmp_path / "loras"
    folder.mkdir()
    lora(folder / "good.safetensors", 1.0)
    make(folder / name)
    library = str(tmp_path / "library.sqlite")
    asked = ["index", str(folder), "--library", library, "--json"]
    result = runner.invoke(app, asked)
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["readable"] == 1 and len(report["refused"]) == 1
    refusal = report["refused"][0]
    assert refusal["path"].endswith(name)
    assert any(word in refusal["reason"] for word in words.split("|")), refusal
    assert "\n" not in refusal["reason"]
    assert runner.invoke(app, [*asked, "--strict"]).exit_code == 1
    alone = runner.invoke(app, ["inspect", str(folder / name)])
    assert alone.exit_code == 1
    assert name in alone.stderr and "Traceback" not in alone.stderr


def test_an_empty_folder_and_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    library = ["--library", str(tmp_path / "library.sqlite")]
    for folder in ("empty", "missing"):
        result = runner.invoke(app, ["index", str(tmp_path / folder), *library])
        assert result.exit_code == 1
        assert folder in result.stderr


def test_the_exit_code_is_that_of_this_call(tmp_path: Path) -> None:
    """A library that holds something does not make a failed call a success."""
    lora(tmp_path / "good.safetensors", 1.0)
    (tmp_path / "empty").mkdir()
    library = ["--library", str(tmp_path / "library.sqlite")]
    good = str(tmp_path / "good.safetensors")
    assert runner.invoke(app, ["index", good, *library]).exit_code == 0
    assert runner.invoke(app, ["index", good, *library]).exit_code == 0
    for bad in ("empty", "missing"):
        asked = ["index", str(tmp_path / bad), *library]
        assert runner.invoke(app, asked).exit_code == 1
    pickled(tmp_path / "named.pt")
    asked = ["index", good, str(tmp_path / "named.pt"), *library]
    assert runner.invoke(app, asked).exit_code == 1


def test_a_folder_where_no_two_share_a_base_model(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    lora(folder / "one.safetensors", 1.0)
    wide = {
        "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight": (
            np.ones((2, 2048), "f4")
        ),
        "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k.lora_B.weight": (
            np.ones((1280, 2), "f4")
        ),
    }
    save_file(wide, folder / "two.safetensors")
    config = Path(__file__).parents[2] / "configs" / "tiny.yaml"
    places = [f"collection.path={folder}", f"run.root={tmp_path / 'runs'}"]
    result = runner.invoke(app, ["train", str(config), *places])
    assert result.exit_code == 1
    assert "at least 8 LoRAs of one base model" in result.stderr
    assert "1 of sd1" in result.stderr and "1 of sdxl" in result.stderr
    assert "lorajax index" in result.stderr


def test_an_unknown_name_lists_what_there_is(tmp_path: Path) -> None:
    library = ["--library", str(tmp_path / "library.sqlite")]
    lora(tmp_path / "good.safetensors", 1.0)
    runner.invoke(app, ["index", str(tmp_path), *library])
    result = runner.invoke(app, ["search", "absent", *library])
    assert result.exit_code == 1 and "absent" in result.stderr
    nowhere = runner.invoke(app, ["search", "x", "--library", str(tmp_path / "no.db")])
    assert nowhere.exit_code == 1 and "lorajax index" in nowhere.stderr


def test_wrong_usage_exits_with_two() -> None:
    assert runner.invoke(app, ["search"]).exit_code == 2
    assert runner.invoke(app, ["search", "x", "-k", "0"]).exit_code == 2
