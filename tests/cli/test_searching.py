"""`lorajax search` as a person or a script runs it."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lorajax.cli import app

REAL = Path(__file__).parents[1] / "data" / "real"
runner = CliRunner()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("library") / "library.sqlite"
    done = runner.invoke(app, ["index", str(REAL), "--library", str(path)])
    assert done.exit_code == 0, done.output
    return path


def run(library: Path, *words: str, code: int = 0) -> str:
    done = runner.invoke(app, ["search", *words, "--library", str(library)])
    assert done.exit_code == code, done.output
    return done.output if code else done.stdout


def document(library: Path, *words: str) -> Any:
    return json.loads(run(library, *words, "--json"))


def test_the_document_keeps_its_contract(library: Path) -> None:
    found = document(library, "animal_artist", "-k", "1")
    assert found["query"] == "animal_artist" and found["searched"] == 2
    (match,) = found["matches"]
    assert {"rank", "name", "path", "similarity", "tier"} <= set(match)
    assert match["base_model"] == "sd1" and match["why"] is None
    assert match["also_at"] == [] and match["labels"] == {}


def test_why_is_told_in_numbers_and_in_words(library: Path) -> None:
    (match,) = document(library, "lora_disney", "-k", "1", "--why")["matches"]
    why = match["why"]
    added = sum(module["contribution"] for module in why["modules"])
    assert added + why["rest"] == pytest.approx(match["similarity"], abs=1e-3)
    text = run(library, "lora_disney", "-k", "1", "--why")
    assert "agree most in" in text and "unet" in text and "of the norms" in text


def test_options_reach_the_search(library: Path) -> None:
    words = ("animal_artist", "--where", "base=sd1", "--where", "name~disney")
    found = document(library, *words, "--unlike", "lora_disney_inpainting")
    assert [match["name"] for match in found["matches"]] == ["lora_disney"]
    assert found["where"] == "base=sd1 name~disney"
    assert found["unlike"] == ["lora_disney_inpainting"]
    assert "to unlike" in run(library, "animal_artist", "--unlike", "lora_disney")
    both = document(library, "animal_artist", "--like", "lora_disney")
    assert [match["name"] for match in both["matches"]] == ["lora_disney_inpainting"]


def test_words_alone_list_what_fits(library: Path) -> None:
    found = document(library, "--text", '"disney_in"')
    assert found["space"] is None and found["searched"] == 1
    assert found["matches"][0]["similarity"] is None
    text = run(library, "--text", "disney")
    assert text.startswith("2 LoRAs fit disney") and "sd1" in text
    assert run(library, "--tag", "nothing").startswith("0 LoRAs fit tag=nothing")


def test_wrong_usage_and_refusals_have_their_exit_codes(library: Path) -> None:
    assert "give a LoRA" in run(library, code=2)
    assert "need a LoRA" in run(library, "--text", "x", "--why", code=2)
    said = run(library, "lora_disney", "--where", "bass=sd1", code=1)
    assert "did you mean base?" in said
    assert "did you mean lora_disney" in run(library, "lora_disnye", code=1)
