"""Files of the tiers `operator` and `direction` on their whole way to a person."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lorajax.cli import app
from lorajax.config.features import FeatureSettings
from lorajax.dataset.collection import read_collection
from lorajax.errors import DatasetError, LorajaxError
from lorajax.projection.preparing import keeper
from lorajax.service.collection import library as service
from lorajax.service.collection.embedding import embed
from lorajax.service.collection.indexing import index_folders
from tests.adapters.zoo_files import (
    SQUARE,
    WIDE,
    base_weights,
    kohya,
    lora,
    write,
    write_base,
)

runner = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two LoRAs, one with magnitudes, and an OFT of the same base model."""
    folder = tmp_path / "loras"
    folder.mkdir()
    plain, _ = lora(SQUARE)
    write(folder / "plain.safetensors", kohya(plain, SQUARE))
    dora, _ = lora(SQUARE, seed=1)
    dora["dora_scale"] = np.ones((64, 1), "f4")
    write(folder / "dora.safetensors", kohya(dora, SQUARE))
    turn = np.random.default_rng(0).standard_normal((8, 8, 8)).astype("f4")
    write(folder / "turn.safetensors", kohya({"oft_blocks": turn}, WIDE))
    return folder


def test_operators_are_listed_without_a_vector(folder: Path, tmp_path: Path):
    path = tmp_path / "library.sqlite"
    report = index_folders([folder], path)
    assert (report.added, report.embedded, report.refused) == (3, 2, ())
    tiers = {entry.name: entry.facts.tier for entry in service.entries(path)}
    assert tiers == {"plain": "exact", "dora": "direction", "turn": "operator"}
    again = index_folders([folder], path)
    assert (again.unchanged, again.embedded, again.unembedded) == (3, 0, 0)
    found = service.neighbours(path, "plain")
    assert [(m.name, m.tier) for m in found.matches] == [("dora", "direction")]
    with pytest.raises(LorajaxError, match="of tier 'operator' has no vector"):
        service.neighbours(path, "turn")


def test_a_vector_that_is_demanded_is_refused(folder: Path):
    embedded = embed([folder])
    assert set(embedded.names) == {"plain", "dora"}
    (refusal,) = embedded.refused
    assert refusal["path"].endswith("turn.safetensors")
    assert "no vector without the base model's weights" in refusal["reason"]
    with pytest.raises(LorajaxError, match="none of 1 files could be embedded"):
        embed([folder / "turn.safetensors"])


def test_nobody_trains_on_operators(folder: Path):
    with pytest.raises(DatasetError, match=r"found 2 of lorajax-zoo-1 \(1 files refu"):
        read_collection(folder, None, keeper(FeatureSettings()))


def run(*words: object, code: int = 0) -> str:
    result = runner.invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.output


def test_inspect_tells_what_a_base_model_adds(folder: Path, tmp_path: Path):
    file = folder / "turn.safetensors"
    (alone,) = json.loads(run("inspect", file, "--json"))
    assert (alone["tier"], alone["family"], alone["norm"]) == ("operator", "oft", None)
    assert "known with --base only" in run("inspect", file)
    base = write_base(tmp_path / "base.safetensors", base_weights(WIDE))
    (told,) = json.loads(run("inspect", file, "--base", base, "--json"))
    assert told["tier"] == "exact" and told["norm"] > 0
    assert alone["fingerprint"] is None and len(told["fingerprint"]) == 53
    learnt = {"tier", "norm", "fingerprint"}
    assert {k: v for k, v in told.items() if k not in learnt} == {
        k: v for k, v in alone.items() if k not in learnt
    }
    wrong = write_base(tmp_path / "wrong.safetensors", base_weights(SQUARE))
    assert "found neither" in run("inspect", file, "--base", wrong, code=1)
