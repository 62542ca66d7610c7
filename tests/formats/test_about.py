"""Everything that is said of a LoRA, in the order in which it is trusted."""

import base64
import hashlib
import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save

from lorajax.adapters import inspect_file
from lorajax.formats import open_tensor_file
from lorajax.formats.about import About, read_about
from lorajax.formats.hashes import hash_warnings
from lorajax.formats.previews import MAX_THUMBNAIL, previews_beside, thumbnail
from lorajax.formats.sidecars import Said
from tests.adapters.zoo_files import WIDE, ZOO, kohya, lora

TENSORS = kohya(lora(WIDE)[0], WIDE)


def save_as_kohya_does(path: Path, said: dict[str, str], more: dict[str, str]) -> Path:
    """kohya hashes what lies behind the header of a file of `ss_*` entries alone."""
    first = save(TENSORS, said)
    body = first[8 + int.from_bytes(first[:8], "little") :]
    hashed = {"sshs_model_hash": hashlib.sha256(body).hexdigest()}
    path.write_bytes(save(TENSORS, said | hashed | more))
    return path


def write(path: Path, metadata: dict[str, str]) -> Path:
    path.write_bytes(save(TENSORS, {**ZOO, **metadata}))
    return path


def values(said: tuple[Said, ...]) -> list[str]:
    return [word.value for word in said]


def test_the_trainer_is_trusted_before_modelspec_sidecars_and_the_name(tmp_path: Path):
    path = write(
        tmp_path / "file.safetensors",
        {
            "ss_output_name": "trained",
            "modelspec.title": "Spec",
            "modelspec.tags": "a, b",
            "modelspec.trigger_phrase": "wash",
            "modelspec.author": "None",
            "ss_epoch": "10",
            "ss_network_args": '{"algo": "lokr"}',
        },
    )
    sidecar = {"model": {"name": "Site", "tags": ["B", "c"]}, "creator": {}}
    path.with_name("file.civitai.info").write_text(json.dumps(sidecar))
    about = read_about(open_tensor_file(path))
    assert [(word.value, word.source) for word in about.title] == [
        ("trained", "ss_output_name"),
        ("Spec", "modelspec.title"),
        ("Site", "file.civitai.info: model.name"),
        ("file", "file name"),
    ]
    assert values(about.tags) == ["a", "b", "c"]
    assert values(about.trigger_words) == ["wash"] and about.author == ()
    assert Said("10", "ss_epoch") in about.training
    assert Said('{"algo": "lokr"}', "ss_network_args") in about.training
    assert values(about.base_model) == ["lorajax-zoo-1"]


def test_caption_tags_are_counted_and_damage_is_a_warning(tmp_path: Path):
    path = tmp_path / "x.safetensors"
    counts = {"10_a": {f"t{i}": i + 1 for i in range(200)}, "5_b": {"T199": 3}}
    about = read_about(
        open_tensor_file(write(path, {"ss_tag_frequency": json.dumps(counts)}))
    )
    assert about.caption_tags and len(about.caption_tags) == 64
    assert next(iter(about.caption_tags.items())) == ("t199", 203)
    about = read_about(open_tensor_file(write(path, {"ss_tag_frequency": "{"})))
    assert not about.caption_tags
    assert len(about.warnings) == 1 and "ss_tag_frequency" in about.warnings[0]


def test_inspect_tells_all_of_it(tmp_path: Path):
    path = save_as_kohya_does(
        tmp_path / "x.safetensors",
        {**ZOO, "ss_output_name": "ink"},
        {"modelspec.thumbnail": "data:image/png;base64,AAAA"},
    )
    path.with_name("x.preview.png").write_bytes(b"")
    facts = inspect_file(path)
    assert facts.about["previews"] == ["x.preview.png", "modelspec.thumbnail"]
    assert facts.about["title"][0] == {"value": "ink", "source": "ss_output_name"}
    assert "modelspec.thumbnail" not in facts.metadata
    assert "author" not in facts.about
    data = path.read_bytes()
    assert facts.autov2 == hashlib.sha256(data).hexdigest()[:10]
    assert facts.about["hashes"] == [
        {"value": facts.weights_sha256, "source": "sshs_model_hash"}
    ]
    assert facts.autov3 == facts.weights_sha256[:12] and not facts.warnings
    path.with_name("x.json").write_text("{")
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    changed, broken = sorted(inspect_file(path).warnings)
    assert "tensors changed since they were hashed: sshs_model_hash" in changed
    assert broken.startswith("x.json: expected JSON")


@pytest.mark.parametrize(
    ("told", "warns"),
    [
        ("ab" * 32, False),
        ("0xAB" + "ab" * 31, False),
        ("cd" * 32, True),
        ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", False),
        ("e3b0c44298fc", False),
        ("not a hash", False),
    ],
)
def test_hashes_inside_are_held_against_the_tensors(told: str, warns: bool):
    about = About(hashes=(Said(told, "modelspec.hash_sha256"), Said("12", "legacy")))
    assert bool(hash_warnings(about, "", "ab" * 32)) == warns


def test_a_sidecar_of_another_file_is_noticed():
    said = [Said("AB" * 32, "x: files"), Said("CD" * 32, "x: files")]
    about = About(sha256=tuple(said))
    assert not hash_warnings(about, "cd" * 32, "")
    (warning,) = hash_warnings(about, "ef" * 32, "")
    assert warning.startswith("x: files lists hashes of other files")


def test_previews_are_named_like_the_weights(tmp_path: Path):
    for name in ("a.png", "a.preview.webp", "a.txt", "ab.png", "a.preview.jpeg"):
        (tmp_path / name).touch()
    (tmp_path / "a.gif").mkdir()
    found = [path.name for path in previews_beside(tmp_path / "a.safetensors")]
    assert found == ["a.preview.jpeg", "a.preview.webp", "a.png"]


def test_a_thumbnail_comes_out_as_it_went_in():
    held = BytesIO()
    Image.fromarray(np.zeros((4, 4, 3), "u1")).save(held, "PNG")
    uri = "data:image/png;base64," + base64.b64encode(held.getvalue()).decode()
    assert thumbnail({"modelspec.thumbnail": uri}) == held.getvalue()


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "data:image/svg+xml;base64,PHN2Zz4=",
        "data:image/png;base64,????",
        "data:image/png;base64,iVBORw0KGgo\u00e9",
        "data:image/png;base64," + base64.b64encode(b"<html>").decode(),
        "data:image/png;base64," + "iVBORw0KGgo=" + "A" * 2 * MAX_THUMBNAIL,
        "file:///etc/passwd",
    ],
)
def test_what_is_no_small_picture_is_no_thumbnail(uri: str):
    assert thumbnail({"modelspec.thumbnail": uri}) is None
