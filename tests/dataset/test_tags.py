"""Tags from training metadata and from sidecars, whatever nonsense stands there."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lorajax.dataset.tags import frequencies, read_tags, sidecar_tags
from lorajax.formats.safetensors_file import open_tensor_file


def test_frequencies_are_summed_over_folders() -> None:
    text = json.dumps({"10_ink": {"Ink ": 4, "cat": 1}, "5_more": {"ink": 2}})
    assert frequencies({"ss_tag_frequency": text}) == {"ink": 6.0, "cat": 1.0}


@pytest.mark.parametrize(
    "text",
    [
        *("", "not json", "[1]", '{"a": 3}', '{"a": {"b": "c"}}', "[" * 9000),
        *(f'{{"a": {{"b": {count}}}}}' for count in ("NaN", "1e999", "-1", "true")),
        *(f'{{"a": {{"b": {"9" * digits}}}}}' for digits in (400, 9000)),
        '{"a": {"\\u001b\\u202e ": 1}}',
        '{"a": {"b": 1}}' + " " * 2**22,
    ],
)
def test_nonsense_is_no_tag(text: str) -> None:
    assert frequencies({"ss_tag_frequency": text}) == {}


@pytest.mark.parametrize(
    ("suffix", "document"),
    [
        (".metadata.json", {"tags": ["Ink", 3, "cat"]}),
        (".civitai.info", {"model": {"tags": ["ink", "cat"]}}),
        (".metadata.json", {"civitai": {"model": {"tags": ["ink", "cat"]}}}),
    ],
)
def test_sidecars_of_the_usual_managers(
    tmp_path: Path, suffix: str, document: dict
) -> None:
    (tmp_path / f"a.b{suffix}").write_text(json.dumps(document), encoding="utf-8")
    found = sidecar_tags(tmp_path / "a.b.safetensors")
    assert found == {"ink": 1.0, "cat": 1.0}
    assert sidecar_tags(tmp_path / "other.safetensors") == {}


def test_what_the_uploader_says_goes_before_the_captions(tmp_path: Path) -> None:
    metadata = {"ss_tag_frequency": json.dumps({"10_x": {"cat": 4}})}
    path = tmp_path / "a.safetensors"
    save_file({"x": np.zeros(1, "f4")}, path, metadata)
    assert read_tags(open_tensor_file(path)) == {"cat": 4.0}
    sidecar = tmp_path / "a.metadata.json"
    sidecar.write_text('{"tags": ["ink"]}', encoding="utf-8")
    assert read_tags(open_tensor_file(path)) == {"ink": 1.0}
    sidecar.write_text('{"tags": []}', encoding="utf-8")
    assert read_tags(open_tensor_file(path)) == {"cat": 4.0}


def test_tags_of_strangers_are_cleaned() -> None:
    text = json.dumps({"a": {"ink\x1b[31m\u202e\ud800": 1, "x" * 9000: 2}})
    tags = frequencies({"ss_tag_frequency": text})
    assert tags["ink"] == 1.0 and max(map(len, tags)) == 100


def test_names_near_the_longest_have_no_sidecar(tmp_path: Path) -> None:
    assert sidecar_tags(tmp_path / f"{'n' * 243}.safetensors") == {}
