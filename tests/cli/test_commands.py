"""The commands as a person or a script runs them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from lorajax.cli import app
from lorajax.config import JobSettings
from lorajax.service.learning.training import TrainingReport

ROOT = Path(__file__).parents[2]
REAL = ROOT / "tests" / "data" / "real"
runner = CliRunner()


def run(*words: object, code: int = 0) -> str:
    result = runner.invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.stdout


def document(*words: object, code: int = 0) -> Any:
    return json.loads(run(*words, "--json", code=code))


def real_files() -> list[Path]:
    return sorted(REAL.rglob("*.safetensors"))


def test_every_command_has_help_and_stands_in_the_readmes() -> None:
    listed = re.findall(r"^  (\w+)  ", run("--help").split("Commands:")[1], re.M)
    assert {"train", "index", "search", "inspect", "embed", "export"} <= set(listed)
    for readme in ("README.md", "README.ja.md"):
        text = (ROOT / readme).read_text(encoding="utf-8")
        for command in listed:
            assert f"lorajax {command}" in text, (readme, command)
    for command in listed:
        assert run(command, "--help").strip()


def test_inspect_follows_the_contract() -> None:
    facts = document("inspect", *real_files())
    assert len(facts) == 3
    for one in facts:
        assert one["base_model"] == "sd1" and one["tier"] == "exact"
        assert one["modules"]["mapped"] == one["modules"]["total"]
        assert set(one["rank"]) == {"min", "median", "max"}
        for field in (
            *("format", "family", "side", "dtype", "content_key", "file_sha256"),
            *("weights_sha256", "norm", "warnings", "metadata"),
        ):
            assert field in one


def test_index_and_search_real_files_without_a_model(tmp_path: Path) -> None:
    library = tmp_path / "library.sqlite"
    report = document("index", REAL, "--library", library)
    assert report["added"] == 3 and report["base_models"] == {"sd1": 3}
    assert document("index", REAL, "--library", library)["unchanged"] == 3
    found = document("search", "lora_disney", "--library", library, "-k", 2)
    assert found["space"].startswith("sd1:base-space-2")
    assert [match["rank"] for match in found["matches"]] == [1, 2]
    assert {"name", "path", "similarity", "tier"} <= set(found["matches"][0])
    by_file = document("search", real_files()[0], "--library", library)
    assert len(by_file["matches"]) == 2


def test_map_compare_and_triplets_follow_their_contracts(tmp_path: Path) -> None:
    library = tmp_path / "library.sqlite"
    run("index", REAL, "--library", library)
    found = document("map", "--library", library)
    assert found["space"].startswith("sd1:") and found["method"] == "pca"
    assert len(found["points"]) == 3 and 0 < sum(found["explained"]) <= 1.000001
    assert {"key", "name", "x", "y", "group"} == set(found["points"][0])
    assert "lora_disney" in run("map", "--library", library)
    run("map", "--method", "tsne", "--library", library, code=2)
    run("map", "--space", "flux", "--library", library, code=1)
    run("map", "--by", "colour", "--library", library, code=1)
    names = ("lora_disney", "animal_artist")
    found = document("compare", *names, "--library", library)
    assert [one["name"] for one in found["loras"]] == list(names)
    assert -1 <= found["cosine"] <= 1 and len(found["modules"][0]["norms"]) == 2
    assert found["modules"][0]["module"] in run("compare", *names, "--library", library)
    run("compare", "lora_disney", "nothing", "--library", library, code=1)
    first = document("triplets", "next", "--library", library)
    asked = [first["question"][place]["name"] for place in ("anchor", "left", "right")]
    assert asked[0] in run("triplets", "next", "--library", library)
    told = document("triplets", "answer", *asked, "--library", library)
    assert told == {"file": first["file"], "answered": 1, "skipped": 0}
    told = document("triplets", "undo", *asked, "--library", library)
    told = document("triplets", "skip", *asked, "--library", library)
    assert (told["answered"], told["skipped"]) == (0, 1)
    assert document("triplets", "next", "--library", library) != first
    run("triplets", "answer", "a", "b", "c", "--library", library, code=1)
    document("triplets", "answer", *asked, "--library", library)
    twin = ("--rater", "twin", "--library", library)
    assert document("triplets", "next", *twin)["question"] == first["question"]
    document("triplets", "answer", asked[0], *asked[:0:-1], *twin)
    agreed = document("triplets", "agreement", "--library", library)
    assert agreed["raters"] == {"human": 1, "twin": 1}
    assert (agreed["agreement"], len(agreed["disputed"])) == (0.0, 1)
    text = run("triplets", "agreement", "--library", library)
    assert "human and twin agree on 0 of 1" in text


def test_bundle_from_run_to_search(
    tiny_run: TrainingReport, tiny_job: JobSettings, tmp_path: Path
) -> None:
    bundle, library = tmp_path / "bundle", tmp_path / "library.sqlite"
    collection = Path(tiny_job.collection.path or "")
    run("export", tiny_run.path, bundle)
    run("index", collection, "--model", bundle, "--library", library)
    foreign = tmp_path / "copied.safetensors"
    shutil.copyfile(next(collection.glob("*.safetensors")), foreign)
    found = document("search", foreign, "--library", library, "-k", 1)
    assert found["query"] == "copied" and found["searched"] == 23  # itself left out
    run("index", REAL, "--library", library)  # the bundle is remembered
    again = document("search", found["matches"][0]["name"], "--library", library)
    assert again["space"] == found["space"]
    vectors = tmp_path / "vectors.npz"
    run("embed", collection, "--model", bundle, "--out", vectors)
    with np.load(vectors, allow_pickle=False) as arrays:
        assert arrays["vectors"].shape == (24, 32)
        assert set(arrays["spaces"]) == {found["space"]}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_embed_writes_other_formats(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"vectors.{suffix}"
    told = document("embed", REAL, "--out", out)
    assert told["count"] == 3 and out.stat().st_size > 1000


def refused(*words: object) -> str:
    """What a command says that fails; never a traceback."""
    result = runner.invoke(app, [str(word) for word in words])
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    return result.stderr


@pytest.mark.parametrize("name", ["~nobody", "x" * 300, "\udcff"])
def test_whatever_is_named_is_found_or_refused(tmp_path: Path, name: str) -> None:
    library = tmp_path / "library.sqlite"
    run("index", REAL, "--library", library)
    said = refused("search", name, "--library", library)
    assert said.startswith("error: ") and "hint:" in said
    refused("explain", name, "lora_disney", "--library", library)
    refused("search", "lora_disney", "--library", tmp_path / name)


def test_a_bundle_and_a_space_are_named_as_elsewhere(tmp_path: Path) -> None:
    library = tmp_path / "library.sqlite"
    run("index", REAL, "--library", library)
    told = document("embed", REAL, "--out", tmp_path / "a.npz", "--model", "none")
    assert told["count"] == 3
    both = ("explain", "lora_disney", "animal_artist", "--library", library)
    named = document(*both, "--space", "sd1")
    assert named == document(*both) and ":" in named["space"]
    assert "expected a space or a base model" in refused(*both, "--space", "foo")
    said = refused(*both, "--space", "sd1", "--model", tmp_path)
    assert "give either --model or --space" in said


def test_evaluate_prints_the_table(tiny_run: TrainingReport) -> None:
    text = run("evaluate", tiny_run.path)
    assert "encoder trained" in text and "map@10" in text
    assert document("evaluate", tiny_run.path)["n_loras"] == 24


def test_train_is_reachable_as_a_module_and_names_typos(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lorajax.train", str(ROOT / "configs/tiny.yaml")]
    asked = [*command, "training.step=3"]
    result = subprocess.run(asked, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 1
    assert "unknown key training.step" in result.stderr
    assert "did you mean training.steps?" in result.stderr
    assert "Traceback" not in result.stderr and not result.stdout


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from lorajax.cli import app\n"
        "heavy = {'jax', 'flax', 'orbax', 'optax', 'sklearn', 'scipy', 'pandas'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True)
    assert result.returncode == 0, result.stderr
