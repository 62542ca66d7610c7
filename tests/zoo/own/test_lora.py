"""What lies on the disk after a training of one's own."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest

from lorajax.adapters.adapter import read_adapter
from lorajax.dataset.tags import read_tags, sidecar_tags
from lorajax.errors import ZooError
from lorajax.formats.peft_config import WEIGHTS_NAME
from lorajax.formats.safetensors_file import open_tensor_file
from lorajax.naming.zoo import BASE_MODEL
from lorajax.zoo.lora import writing
from lorajax.zoo.lora.training import Plan, init_weights
from lorajax.zoo.own import lora
from lorajax.zoo.own.lora import (
    Place,
    Told,
    check_place,
    check_written,
    tag_frequency,
    write_own,
)

PLAN = Plan("lora", "projections", 2, 4.0, 1e-3, steps=10, seed=0)
WEIGHTS = {
    module: {name: array + 0.01 for name, array in own.items()}
    for module, own in init_weights(PLAN, width=2).items()
    if ".attn" in module
}
TOLD = Told("12_ink", ("ink red circle", "ink Blue square, brush stroke"), "ink", 4)


@pytest.mark.parametrize(
    ("dialect", "out"), [("kohya", "a.safetensors"), ("peft", "a")]
)
def test_a_lora_with_tags_sidecar_and_preview(dialect, out, tmp_path):
    place = Place(tmp_path / out, dialect)
    check_place(place, force=False)
    write_own(place, PLAN, WEIGHTS, "bf16", TOLD, b"a picture")
    adapter = read_adapter(place.weights)
    assert (adapter.name, adapter.base_model) == ("a", BASE_MODEL)
    assert (adapter.format, adapter.dtype) == (dialect, "BF16")
    assert set(adapter.updates) == set(WEIGHTS)
    metadata = open_tensor_file(place.weights).metadata
    assert metadata["ss_base_model_version"] == BASE_MODEL
    assert json.loads(metadata["ss_tag_frequency"]) == tag_frequency(TOLD)
    assert read_tags(open_tensor_file(place.weights))["brush stroke"] == 1
    assert "ink" in sidecar_tags(place.weights)
    assert place.preview.read_bytes() == b"a picture"
    assert str(tmp_path) not in json.dumps(metadata)
    with pytest.raises(ZooError, match="expected no file here"):
        check_place(place, force=False)
    check_place(place, force=True)


def test_the_same_lora_is_the_same_file(tmp_path):
    contents = []
    for folder in ("one", "two"):
        place = Place(tmp_path / folder / "a.safetensors", "kohya")
        write_own(place, PLAN, WEIGHTS, "fp16", TOLD, b"")
        contents.append(place.weights.read_bytes())
    assert contents[0] == contents[1]
    names = list(open_tensor_file(place.weights).metadata)
    assert names == sorted(names)


def test_tags_are_what_commas_part_or_the_words():
    (folder, counts), *_ = tag_frequency(TOLD).items()
    assert folder == "12_ink"
    assert counts == {
        **{"ink": 2, "red": 1, "circle": 1},
        **{"Blue square": 1, "brush stroke": 1},
    }
    assert list(tag_frequency(Told("ink", (), "", 1))) == ["1_ink"]


def test_places_of_the_wrong_kind_are_refused(tmp_path):
    for out, dialect in (("a", "kohya"), ("a.png", "kohya"), ("a.safetensors", "peft")):
        with pytest.raises(ZooError, match=f"to write {dialect} to"):
            check_place(Place(tmp_path / out, dialect), force=True)
    (tmp_path / "b.safetensors").mkdir()
    with pytest.raises(ZooError, match="found a folder"):
        check_place(Place(tmp_path / "b.safetensors", "kohya"), force=True)


def test_folders_called_by_dots_have_their_real_names(tmp_path, monkeypatch):
    (tmp_path / "ink" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "ink" / "below")
    for out, folder in ((".", tmp_path / "ink" / "below"), ("..", tmp_path / "ink")):
        place = Place(Path(out), "peft")
        check_place(place, force=False)
        assert place.name == folder.name
        assert place.state == folder.with_name(folder.name + ".training")
    write_own(Place(Path("."), "peft"), PLAN, WEIGHTS, "fp32", TOLD, b"")
    assert read_adapter(tmp_path / "ink" / "below" / WEIGHTS_NAME).name == "below"
    with pytest.raises(ZooError, match="expected a folder that has a name"):
        check_place(Place(Path(tmp_path.anchor), "peft"), force=True)


@pytest.mark.parametrize(
    ("dialect", "out"), [("kohya", "a.safetensors"), ("peft", "a")]
)
def test_after_a_full_disk_the_same_command_may_run_again(
    dialect, out, tmp_path, monkeypatch
):
    place = Place(tmp_path / out, dialect)
    place.state.write_bytes(b"")

    def refuse(path, content):
        if path == place.weights:
            raise OSError(errno.ENOSPC, "No space left on device")
        path.write_bytes(content)

    with monkeypatch.context() as patched:
        patched.setattr(lora, "place", refuse)
        patched.setattr(writing, "place", refuse)
        with pytest.raises(ZooError, match="No space left") as caught:
            write_own(place, PLAN, WEIGHTS, "fp32", TOLD, b"a picture")
    assert caught.value.hint == "free some space, and run the same command again"
    assert place.sidecar.exists() and not place.weights.exists()
    check_place(place, force=False)
    place.state.unlink()
    with pytest.raises(ZooError, match="expected no file here"):
        check_place(place, force=False)


def test_only_what_the_lora_owns_is_overwritten(tmp_path):
    mine = tmp_path / "a" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("mine", encoding="utf-8")
    place = Place(Path(tmp_path / "a"), "peft")
    write_own(place, PLAN, WEIGHTS, "fp32", TOLD, b"old")
    write_own(place, PLAN, WEIGHTS, "fp32", TOLD, b"")
    assert mine.read_text(encoding="utf-8") == "mine"
    assert not place.preview.exists()


def test_numbers_beyond_a_format_are_refused():
    check_written({"m": {"down": np.ones(2, "f4")}}, "fp16")
    with pytest.raises(ZooError, match="that fp16 can hold"):
        check_written({"m": {"down": np.array([np.inf], "f4")}}, "fp16")
