"""Other programs' files beside a LoRA: merged into, kept, or left alone."""

import hashlib
import json
from pathlib import Path

import pytest

from lorajax.errors import FormatError
from lorajax.formats.sidecar_writing import (
    CIVITAI,
    ENDINGS,
    METADATA,
    WEBUI,
    Words,
    plan_sidecar,
    write_sidecar,
)
from lorajax.formats.sidecars import read_sidecars

WORDS = Words(("ink", "Style"), "Pony", ours={"cluster": {"number": 3}})
# What ComfyUI-Lora-Manager passes over a LoRA for the lack of.
NEEDED = (
    *("file_name", "model_name", "file_path", "size", "modified", "sha256"),
    *("base_model", "preview_url"),
)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "ink wash.v2.safetensors"
    path.write_bytes(b"weights")
    return path


def beside(weights: Path, ending: str) -> Path:
    return weights.with_name(weights.stem + ending)


def written(weights: Path, ending: str, words: Words = WORDS) -> dict:
    write_sidecar(plan_sidecar(weights, ending, words))
    return json.loads(beside(weights, ending).read_text(encoding="utf-8"))


def test_what_is_theirs_stays(weights: Path) -> None:
    theirs = {
        "file_name": "ink wash.v2",
        "base_model": "SDXL 1.0",
        "tags": ["style", "墨"],
        "notes": "mine",
        "favorite": True,
        "civitai": {"id": 12345678901234567890, "trainedWords": ["x"]},
        "someone_elses": [None, 0.1, {"a": 1}],
    }
    before = json.dumps(theirs, ensure_ascii=False)
    beside(weights, METADATA).write_text(before, encoding="utf-8")
    found = written(weights, METADATA)
    assert found == theirs | {
        "tags": ["style", "墨", "ink"],
        "lorajax": {"cluster": {"number": 3}},
    }
    backup = weights.with_name("ink wash.v2.metadata.json.bak")
    assert backup.read_text(encoding="utf-8") == before
    # A person's own word for the base model replaces it; the copy stays the first.
    found = written(weights, METADATA, Words(base_model="Pony", overrides=True))
    assert found["base_model"] == "Pony" and found["lorajax"] == WORDS.ours
    assert backup.read_text(encoding="utf-8") == before


def test_planning_changes_nothing_and_says_what_would(weights: Path) -> None:
    path = beside(weights, CIVITAI)
    path.write_text('{"model": {"tags": ["ink"]}, "baseModel": ""}', encoding="utf-8")
    stamp = path.stat()
    planned = plan_sidecar(weights, CIVITAI, WORDS)
    assert [change.split(":")[0] for change in planned.changes] == [
        *("model", "baseModel", "lorajax")
    ]
    assert path.stat() == stamp and list(weights.parent.iterdir()) != []
    assert not path.with_name(path.name + ".bak").exists()
    write_sidecar(planned)
    assert plan_sidecar(weights, CIVITAI, WORDS).changes == ()


def test_a_new_metadata_file_has_all_that_its_program_needs(weights: Path) -> None:
    (weights.parent / "ink wash.v2.preview.png").write_bytes(b"")
    found = written(weights, METADATA)
    assert all(name in found for name in NEEDED)
    assert found["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert found["size"] == 7 and found["base_model"] == "Pony"
    assert found["preview_url"].endswith("/ink wash.v2.preview.png")
    assert not list(weights.parent.glob("*.bak"))


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_written_is_read_back(weights: Path, ending: str) -> None:
    written(weights, ending)
    said = read_sidecars(weights)
    assert said.warnings == ()
    assert {word.value for word in said.facts["tags"]} == {"ink", "Style"}
    if ending != WEBUI:
        assert [word.value for word in said.facts["base_model"]] == ["Pony"]


@pytest.mark.parametrize(
    "text",
    [
        *("", "[1]", "{", '{"a": 1, "a": 2}', '{"a": NaN}', '{"tags": "ink, pen"}'),
        *("\xff", "[" * 100_000, '{"tags": 7}'),
        *('{"a": "\\ud83d"}', '{"\\udc00": 1}', '{"a": [1e999]}'),
    ],
    ids=range(12),
)
def test_what_cannot_be_kept_whole_is_not_touched(weights: Path, text: str) -> None:
    path = beside(weights, METADATA)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(FormatError, match=r"metadata\.json: expected a"):
        plan_sidecar(weights, METADATA, WORDS)
    assert path.read_bytes() == text.encode("latin-1")
    assert not list(weights.parent.glob("*.lorajax-part"))


def test_a_link_stays_a_link(weights: Path, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.json"
    real.write_text("{}", encoding="utf-8")
    beside(weights, WEBUI).symlink_to(real)
    written(weights, WEBUI)
    assert beside(weights, WEBUI).is_symlink()
    assert json.loads(real.read_text(encoding="utf-8"))["tags"] == ["ink", "Style"]
