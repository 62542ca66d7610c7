"""`lorajax library` as a person or a script runs it."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lorajax.cli import app
from lorajax.library import Facts, FileStamp, Library, Place, Refusal
from lorajax.library.labels import change_labels
from lorajax.library.vectors import matrix
from lorajax.service.collection.indexing import index_folders

REAL = Path(__file__).parents[1] / "data" / "real"
runner = CliRunner()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Library.open(tmp_path / "library.sqlite") as library:
        for i in range(300):
            place = Place(tmp_path / "gone" / f"{i}.safetensors", FileStamp(1, 2, i))
            library.upsert(f"key{i}", Facts(f"name{i}", "sd1"), place)
    return tmp_path / "library.sqlite"


def run(*words: object, code: int = 0) -> str:
    result = runner.invoke(app, ["library", *map(str, words)])
    assert result.exit_code == code, result.output
    return result.stdout


def test_info_and_forgetting(path: Path) -> None:
    assert "300 in 300 files" in run("info", "--library", path)
    facts = json.loads(run("info", "--library", path, "--json"))
    assert (facts["loras"], facts["missing"], facts["spaces"]) == (300, 0, {})
    assert "0 LoRAs forgotten" in run("forget-missing", "--library", path)
    words = ("forget-missing", path.parent / "gone", "--library", path, "--json")
    assert json.loads(run(*words)) == {"forgotten": 300}


def test_an_index_is_built_where_a_space_is_large(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.random.default_rng(1).normal(size=(300, 8)).astype("f4")
    with Library.open(path) as library, library.transaction():
        for i, row in enumerate(rows):
            library.write_vector(f"key{i}", "sd1:basis:encoder", row)
        library.set_current_space("sd1", "sd1:basis:encoder")
    assert "no index is needed" in run("build-index", "--library", path)
    monkeypatch.setattr(matrix, "LARGE", 0)
    words = ("search", "name7", "--library", str(path))
    told = runner.invoke(app, words).stderr
    assert "lorajax library build-index" in told
    built = json.loads(run("build-index", "--library", path, "--json"))
    assert built == {"library": str(path), "indexes": {"sd1:basis:encoder": 300}}
    assert "an index of 300 vectors" in run("build-index", "--library", path)
    assert "no index" not in runner.invoke(app, words).stderr


def test_damage_is_told_repaired_and_over(path: Path) -> None:
    assert run("check", "--library", path).endswith(": whole\n")
    page = path.read_bytes().index(b"key150name150sd1") // 4096
    with open(path, "r+b") as file:
        file.seek(page * 4096)
        file.write(b"\xff" * 4096)
    found = json.loads(run("check", "--library", path, "--json", code=1))
    assert found["damages"] and found["saved"] is None
    found = json.loads(run("check", "--repair", "--library", path, "--json"))
    assert 200 < found["saved"]["loras"] < 300 and Path(found["kept"]).exists()
    assert run("check", "--library", path).endswith(": whole\n")


def test_a_library_that_is_not_there_is_no_success(tmp_path: Path) -> None:
    for command in ("info", "check", "build-index", "forget-missing"):
        run(command, "--library", tmp_path / "none.sqlite", code=1)


def test_watching_prints_no_document(tmp_path: Path) -> None:
    result = runner.invoke(app, ["index", str(tmp_path), "--watch", "--json"])
    assert result.exit_code == 2


def test_loras_are_listed_shown_and_refusals_told(path: Path) -> None:
    with Library.open(path) as library:
        library.refuse(Refusal("/loras/bad.safetensors", "truncated", "copy it again"))
    found = json.loads(run("list", "--library", path, "--json"))
    assert len(found["loras"]) == 300 and found["loras"][0]["name"] == "name0"
    words = ("list", "--where", "name=name7", "--library", path)
    (one,) = json.loads(run(*words, "--json"))["loras"]
    assert (one["key"], one["missing"], one["tags"]) == ("key7", False, [])
    assert "name7" in run(*words) and "name8" not in run(*words)
    run("list", "--where", "nam=x", "--library", path, code=1)
    shown = json.loads(run("show", "key7", "--library", path, "--json"))
    assert shown["paths"] == [str(path.parent / "gone" / "7.safetensors")]
    assert shown["copies"] == shown["blocks"] == []
    assert "7.safetensors" in run("show", "name7", "--library", path)
    run("show", "nobody", "--library", path, code=1)
    (refused,) = json.loads(run("refused", "--library", path, "--json"))["refused"]
    assert refused["reason"] == "truncated"
    assert "copy it again" in run("refused", "--library", path)


def test_tags_are_a_list_whatever_is_in_them(tmp_path: Path) -> None:
    path, tags = tmp_path / "library.sqlite", ["ink, wash", "red"]
    with Library.open(path) as library:
        place = Place(tmp_path / "a.safetensors", FileStamp(1, 2, 3))
        library.upsert("a", Facts("a", "sd1", tags=tuple(tags)), place)
    (one,) = json.loads(run("list", "--library", path, "--json"))["loras"]
    assert one["tags"] == tags
    assert json.loads(run("show", "a", "--library", path, "--json"))["tags"] == tags
    assert "ink, wash, red" in run("list", "--library", path)


def test_a_lora_is_shown_with_the_labels_that_count(path: Path) -> None:
    with Library.open(path) as library:
        said = [("tag", "Ink"), ("base_variant", "Pony")]
        change_labels(library, ["key7"], said)
    shown = json.loads(run("show", "key7", "--library", path, "--json"))
    assert shown["holds"] == {"base_variant": ["Pony"], "tag": ["ink"]}
    told = " ".join(run("show", "key7", "--library", path).split())
    assert "tags ink" in told and "base variant Pony" in told


def test_a_lora_is_shown_with_its_blocks(tmp_path: Path) -> None:
    library = tmp_path / "library.sqlite"
    index_folders([REAL], library)
    words = ("show", "animal_artist", "--blocks", "--library", library, "--json")
    shown = json.loads(run(*words))
    assert sum(one["share"] for one in shown["blocks"]) == pytest.approx(1)
    assert shown["base_model"] == "sd1"
