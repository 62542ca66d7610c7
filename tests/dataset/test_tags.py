"""Tags from training metadata and from sidecars, whatever nonsense stands there."""

import json
from pathlib import Path

import pytest

from lorajax.dataset.tags import frequencies, sidecar_tags


def test_frequencies_are_summed_over_folders() -> None:
    text = json.dumps({"10_ink": {"Ink ": 4, "cat": 1}, "5_more": {"ink": 2}})
    assert frequencies({"ss_tag_frequency": text}) == {"ink": 6.0, "cat": 1.0}


@pytest.mark.parametrize(
    "text", ["", "not json", "[1]", '{"a": 3}', '{"a": {"b": "c"}}', "[" * 9000]
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
