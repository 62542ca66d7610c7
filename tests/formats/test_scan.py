"""Folders → candidates and refusals, without opening anything."""

import os
from pathlib import Path

import pytest

from lorajax.formats import lora_name, scan
from lorajax.formats.refusals import refuse_pickle


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_walks_folders_in_order_and_refuses_pickles(tmp_path: Path):
    touch(
        tmp_path / "b.safetensors",
        tmp_path / "a" / "adapter_model.safetensors",
        tmp_path / "a" / "adapter_config.json",
        tmp_path / "a" / "optimizer.bin",
        tmp_path / "preview.png",
        tmp_path / "notes.txt",
        tmp_path / ".cache" / "hidden.safetensors",
        tmp_path / "OLD.SAFETENSORS",
        tmp_path / "old.ckpt",
    )
    found = scan([tmp_path])
    assert [p.relative_to(tmp_path).as_posix() for p in found.files] == sorted(
        ["OLD.SAFETENSORS", "a/adapter_model.safetensors", "b.safetensors"]
    )
    refused = {refusal.path.name: refusal for refusal in found.refused}
    assert set(refused) == {"optimizer.bin", "old.ckpt"}
    assert "unsafe format" in refused["old.ckpt"].message
    assert "weights_only=True" in refused["old.ckpt"].hint


def test_an_empty_folder_is_reported(tmp_path: Path):
    touch(tmp_path / "notes.txt")
    (refusal,) = scan([tmp_path]).refused
    assert "expected LoRA files (.safetensors), found none" in refusal.message
    assert str(tmp_path) in refusal.message


def test_named_files_are_refused_aloud(tmp_path: Path):
    touch(tmp_path / "x.png")
    found = scan([tmp_path / "x.png", tmp_path / "absent.safetensors"])
    assert not found.files
    assert "found .png" in found.refused[0].message
    assert "no such file" in found.refused[1].message


def test_a_file_named_twice_is_found_once(tmp_path: Path):
    touch(tmp_path / "x.safetensors")
    found = scan([tmp_path, tmp_path / "x.safetensors"])
    assert found.files == (tmp_path / "x.safetensors",)


def test_links_are_followed_once(tmp_path: Path):
    touch(tmp_path / "real" / "z.safetensors")
    try:
        (tmp_path / "real" / "loop").symlink_to(tmp_path, target_is_directory=True)
        (tmp_path / "a.safetensors").symlink_to(tmp_path / "real" / "z.safetensors")
    except OSError:
        pytest.skip("this system allows no links")
    assert scan([tmp_path]).files == (tmp_path / "real" / "z.safetensors",)


def test_a_link_to_itself_stops_nothing(tmp_path: Path):
    touch(tmp_path / "x.safetensors")
    try:
        (tmp_path / "loop.safetensors").symlink_to(tmp_path / "loop.safetensors")
    except OSError:
        pytest.skip("this system allows no links")
    found = scan([tmp_path, tmp_path / "loop.safetensors"])
    assert found.files == (tmp_path / "x.safetensors",)
    assert {refusal.path.name for refusal in found.refused} == {"loop.safetensors"}


def test_names_that_are_no_text_are_refused(tmp_path: Path):
    touch(tmp_path / "x.safetensors")
    bad = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.safetensors")
    try:
        touch(Path(bad), Path(bad.replace(".safetensors", ".png")))
        touch(Path(bad.replace(".safetensors", "")) / "y.safetensors")
    except (OSError, UnicodeError):
        pytest.skip("this system allows no such names")
    found = scan([tmp_path, bad])
    assert found.files == (tmp_path / "x.safetensors",)
    assert len(found.refused) == 3
    for refusal in found.refused:
        assert "expected a name in UTF-8" in refusal.message
        str(refusal.path).encode("utf-8")


@pytest.mark.parametrize("name", ["a'$(id)`.pt", '";id;".pt', "-rf.ckpt", "a\nb.pt"])
def test_a_hint_to_paste_into_a_shell_holds_no_foreign_command(name: str):
    hint = refuse_pickle(Path(name)).hint
    assert "torch.load('FILE.pt'" in hint and "'FILE.safetensors'" in hint
    assert "'my lora-1.safetensors'" in refuse_pickle(Path("my lora-1.pt")).hint


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_are_passed_over(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    touch(tmp_path / "x.safetensors")
    assert scan([tmp_path]).files == (tmp_path / "x.safetensors",)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("styles/ukiyo-e.safetensors", "ukiyo-e"),
        ("adapters/legal/adapter_model.safetensors", "legal"),
        ("my lora/pytorch_lora_weights.safetensors", "my lora"),
        ("[circle] 名前.safetensors", "[circle] 名前"),
        ("a\x1b[31mred\u202e.safetensors", "ared"),
    ],
)
def test_a_lora_is_called_by_its_file_or_folder(path: str, name: str):
    assert lora_name(path) == name


def test_a_generic_file_in_the_current_folder_has_its_name(tmp_path, monkeypatch):
    (tmp_path / "legal").mkdir()
    monkeypatch.chdir(tmp_path / "legal")
    assert lora_name("adapter_model.safetensors") == "legal"
