"""Words of strangers beside a LoRA: found where managers write them, and made safe."""

import json
import os
from pathlib import Path

import pytest

from lorajax.formats.sidecars import MAX_BYTES, MAX_WORDS, Said, read_sidecars

WEIGHTS = "ink.v1.safetensors"
VERSION = {
    "name": "v1",
    "baseModel": "SD 1.5",
    "trainedWords": ["ink wash, sumi-e", "brush"],
    "model": {"name": "Ink", "tags": ["style", "Ink"]},
    "creator": {"username": "someone"},
    "description": "<p>An <b>ink</b> style.</p>",
    "files": [{"hashes": {"SHA256": "AB" * 32}}, {"hashes": {}}],
}
SIDECARS = {
    ".civitai.info": (
        VERSION,
        {
            "title": ["Ink"],
            "author": ["someone"],
            "description": ["An ink style."],
            "base_model": ["SD 1.5"],
            "tags": ["style", "Ink"],
            "trigger_words": ["ink wash", "sumi-e", "brush"],
            "sha256": ["AB" * 32],
        },
    ),
    ".metadata.json": (
        {"model_name": "Mine", "tags": ["mine"], "sha256": "cd", "civitai": VERSION},
        {
            "title": ["Mine", "Ink"],
            "author": ["someone"],
            "base_model": ["SD 1.5"],
            "tags": ["mine", "style", "Ink"],
            "trigger_words": ["ink wash", "sumi-e", "brush"],
            "sha256": ["cd"],
        },
    ),
    ".cm-info.json": (
        {"ModelName": "Ink", "Tags": ["a"], "TrainedWords": ["b"], "BaseModel": "SDXL"},
        {
            "title": ["Ink"],
            "tags": ["a"],
            "trigger_words": ["b"],
            "base_model": ["SDXL"],
        },
    ),
    ".json": (
        {"activation text": "ink, wash", "sd version": "SD1", "preferred weight": 0.8},
        {"trigger_words": ["ink", "wash"], "base_model": ["SD1"], "usage": ["0.8"]},
    ),
}


def beside(folder: Path, ending: str, content: object) -> Path:
    """Weights with one sidecar; bytes are written as they are."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / f"ink.v1{ending}").write_bytes(raw)
    return folder / WEIGHTS


@pytest.mark.parametrize("ending", SIDECARS)
def test_facts_are_found_where_each_manager_writes_them(tmp_path: Path, ending: str):
    content, expected = SIDECARS[ending]
    found = read_sidecars(beside(tmp_path, ending, content))
    for field, values in expected.items():
        said = found.facts[field]
        assert [word.value for word in said] == values
        assert all(word.source.startswith(f"ink.v1{ending}: ") for word in said)
    assert not found.warnings


def test_what_sidecars_say_differently_is_kept_in_their_order(tmp_path: Path):
    beside(tmp_path, ".json", {"sd version": "SD2"})
    beside(tmp_path, ".civitai.info", {"baseModel": "SD 1.5"})
    path = beside(tmp_path, ".metadata.json", {"base_model": "Pony"})
    assert read_sidecars(path).facts["base_model"] == (
        Said("Pony", "ink.v1.metadata.json: base_model"),
        Said("SD 1.5", "ink.v1.civitai.info: baseModel"),
        Said("SD2", "ink.v1.json: sd version"),
    )


BROKEN = {
    "no JSON": b"{'a'",
    "a list": b"[1]",
    "deep": b'{"a":' * 50_000,
    "a long number": b'{"a": ' + b"9" * 9000 + b"}",
    "too long": b'{"a": "' + b"x" * MAX_BYTES + b'"}',
    "bytes": bytes(range(128, 256)),
    "empty": b"",
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_sidecar_is_one_line_of_warning(tmp_path: Path, case: str):
    beside(tmp_path, ".json", {"notes": "still read"})
    found = read_sidecars(beside(tmp_path, ".civitai.info", BROKEN[case]))
    (warning,) = found.warnings
    assert warning.startswith("ink.v1.civitai.info: expected") and "\n" not in warning
    assert [word.value for word in found.facts["usage"]] == ["still read"]


def test_words_of_strangers_are_safe_and_few(tmp_path: Path):
    content = {
        "tags": ["a\x1b[31m\u202eb\ud800", "[bold]c[/]", "x" * 9000, None, 3, {}, []],
        "model": {"name": {"no": "text"}, "tags": "e, f"},
        "description": "<script>x</script>" + "d" * 9000,
        "trainedWords": [f"w{i}" for i in range(5 * MAX_WORDS)],
        "baseModel": float("nan"),
        "files": {"*": 1},
    }
    facts = read_sidecars(beside(tmp_path, ".civitai.info", content)).facts
    tags = [word.value for word in facts["tags"]]
    assert tags[:2] == ["ab", "c"] and tags[3:] == ["e", "f"] and len(tags[2]) == 200
    assert len(facts["description"][0].value) == 2000
    assert len(facts["trigger_words"]) == MAX_WORDS
    assert not facts["title"] and not facts["base_model"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_file_is_no_sidecar(tmp_path: Path):
    os.mkfifo(tmp_path / "ink.v1.json")
    (tmp_path / "ink.v1.civitai.info").mkdir()
    assert read_sidecars(tmp_path / WEIGHTS).facts.get("tags", ()) == ()
    assert not read_sidecars(tmp_path / f"{'n' * 243}.safetensors").warnings
