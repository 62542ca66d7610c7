"""The commands for labels, groups and guesses, as a person or a script runs them."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lorajax.cli import app
from lorajax.library import Library
from lorajax.service.collection.indexing import index_folders
from tests.library.labelled import SPACE, add, bunches, fingerprint_text

REAL = Path(__file__).parents[1] / "data" / "real"
runner = CliRunner()


def run(*words: object, code: int = 0) -> str:
    result = runner.invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.stdout


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of real files, and of vectors in four bunches beside them."""
    place = tmp_path_factory.mktemp("labelled") / "library.sqlite"
    index_folders([REAL], place)
    with Library.open(place) as opened:
        width = opened.vectors(SPACE)[1].shape[1]
        points, truth = bunches(4, 6, 0.01, width)
        for i, point in enumerate(points):
            add(opened, f"made-{i:02}", point, [f"tag-{truth[i]}"], fingerprint_text(i))
    return place


def test_labels_clusters_and_guesses(library: Path) -> None:
    place = library

    def document(*words: object, code: int = 0) -> Any:
        return json.loads(run(*words, "--library", place, "--json", code=code))

    everything = document("label")
    assert len(everything) >= 24 and all(one["holds"] for one in everything)
    name, file = "lora_disney", REAL / "lora_disney.safetensors"
    (said,) = document("label", name, "style=ink", "category=character")
    assert said["holds"]["style"] == ["ink"]
    assert {"field": "style", "value": "ink", "source": "person"}.items() <= next(
        one for one in said["labels"] if one["field"] == "style"
    ).items()
    assert "style" in run("label", name, "--library", place)
    (said,) = document("label", name, "--remove", "style")
    assert "style" not in said["holds"]
    assert document("label", "--undo")["undone"] is True

    found = document("clusters", "--min-size", 2)
    assert [group["base_model"] for group in found["groups"]] == ["sd1"]
    group = found["groups"][0]
    assert len(group["clusters"]) >= 4 and group["clusters"][0]["words"]
    members = sum(one["updates"] for one in group["clusters"])
    assert members + group["without"] == group["updates"]
    assert document("clusters", "--kept") == found
    assert "sd1" in run("clusters", "--kept", "--library", place)

    (guessed,) = document("classify", file, "--field", "style")
    assert guessed["base_model"] == "sd1"
    assert guessed["guesses"][0]["label"] == "unknown"
    assert "at least 20 labelled LoRAs" in guessed["guesses"][0]["note"]
    run("classify", REAL / "nothing.safetensors", "--library", place, code=1)
    run("classify", "--library", place, code=2)
    run("classify", "--keep", "--model", "bundle", "--library", place, code=2)
    run("label", "style=ink", "--library", place, code=2)
    run("label", name, "Bad-Field=x", "--library", place, code=1)

    table = place.with_name("all.csv")
    assert document("labels", "export", table)["count"] == 27
    assert document("labels", "import", table)["loras"] == 0
    assert document("labels", "derive")["labels"] == 0
    planned = document("labels", "sidecars", name)
    assert planned["written"] is False and len(planned["sidecars"]) == 1
    run("labels", "sidecars", name, "--to", ".txt", "--library", place, code=1)
