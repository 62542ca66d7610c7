"""The ladder as front ends use it: kinds, the plan, and the command."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lorajax.cli import app
from lorajax.errors import LorajaxError
from lorajax.service.collection.indexing import index_folders
from lorajax.service.likeness import duplicates as service

REAL = Path(__file__).parents[2] / "data" / "real" / "lora_disney.safetensors"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of one real LoRA in two places."""
    folder = tmp_path_factory.mktemp("copies")
    for name in ("=first", "second"):
        shutil.copy(REAL, folder / f"{name}.safetensors")
    index_folders([folder], folder / "library.sqlite")
    return folder / "library.sqlite"


def test_levels_and_names_choose_kinds():
    assert service.chosen_kinds([]) == frozenset(service.Kind)
    assert service.chosen_kinds(["1", "near"]) == {
        service.Kind.FILE,
        service.Kind.NEAR,
    }
    assert {k.value for k in service.chosen_kinds(["4"])} == {
        "scaled",
        "merged",
        "resized",
    }
    with pytest.raises(LorajaxError, match="expected a level 1 to 5"):
        service.chosen_kinds(["6"])


def test_a_plan_is_written_once_and_touches_nothing(store: Path, tmp_path: Path):
    before = sorted(path.name for path in store.parent.iterdir())
    ladder = service.find_duplicates(store, [service.Kind.FILE])
    plan, lines = tmp_path / "plan.csv", tmp_path / "plan.jsonl"
    assert service.write_plan(ladder, plan) == 2
    rows = list(csv.DictReader(plan.read_text("utf-8-sig").splitlines()))
    assert [row["action"] for row in rows] == ["keep", "redundant"]
    size = REAL.stat().st_size
    assert [int(row["freed"]) for row in rows] == [0, size]
    assert ladder.redundant_bytes == size
    assert not any(row["name"].startswith("=") for row in rows)
    with pytest.raises(LorajaxError, match="expected a new file"):
        service.write_plan(ladder, plan)
    service.write_plan(ladder, plan, force=True)
    service.write_plan(ladder, lines)
    told = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["path"] for row in told] == [row["path"] for row in rows]
    assert sorted(path.name for path in store.parent.iterdir()) == before


@pytest.mark.parametrize("name", ["plan.txt", "plan", "missing/plan.csv"])
def test_a_plan_has_a_known_ending_and_a_folder(tmp_path: Path, name: str):
    with pytest.raises(LorajaxError, match="expected a"):
        service.check_plan(tmp_path / name)


def test_the_command_prints_one_document(store: Path, tmp_path: Path):
    words = ["duplicates", "--library", str(store)]
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    (group,) = document["groups"]
    assert (group["level"], group["kind"], group["confirmed"]) == (1, "file", True)
    assert [m["action"] for m in group["members"]] == ["keep", "redundant"]
    assert document["plan"] is None
    plan = str(tmp_path / "plan.jsonl")
    result = CliRunner().invoke(app, [*words, "--plan", plan, "--json"])
    assert json.loads(result.stdout)["plan"] == plan
    plan = str(tmp_path / "plan.csv")
    result = CliRunner().invoke(app, [*words, "--plan", plan])
    assert "level 1: the same file" in result.stdout
    assert CliRunner().invoke(app, [*words, "--plan", plan]).exit_code == 1
    assert CliRunner().invoke(app, [*words, "--level", "6"]).exit_code == 1
