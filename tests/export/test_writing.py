"""Bundles of several base models, written so that no killed export breaks them."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import lorajax
from lorajax.config import JobSettings
from lorajax.errors import CheckpointError
from lorajax.export.model import Model, load_model, save_model
from lorajax.export.writing import write_bundle
from lorajax.formats.scan import scan
from lorajax.service.learning.training import TrainingReport

ZOO = "lorajax-zoo-1"


@pytest.fixture
def run(tiny_run: TrainingReport) -> Path:
    return tiny_run.path


def another(run: Path, folder: Path, **facts: Any) -> Path:
    """The same run as if it were of another basis."""
    folder.mkdir()
    for name in ("results.json", "config.yaml"):
        shutil.copyfile(run / name, folder / name)
    model = load_model(run)
    basis = replace(model.basis, facts=replace(model.basis.facts, **facts))  # type: ignore[type-var]
    params = {name: 2 * array for name, array in model.encoder.params.items()}
    save_model(Model(basis, replace(model.encoder, params=params)), folder)
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def card(folder: Path) -> tuple[dict[str, Any], str]:
    text = (folder / "README.md").read_text(encoding="utf-8")
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


def test_a_second_base_model_joins_the_first(
    run: Path, tiny_job: JobSettings, tmp_path: Path
) -> None:
    folder = write_bundle(run, tmp_path / "bundle")
    alone = contents(folder)
    (folder / "LICENSE").write_text("a person's own file", encoding="utf-8")
    path = scan([tiny_job.collection.path or ""]).files[0]
    before = lorajax.load(folder).embed(path)
    write_bundle(another(run, tmp_path / "other", base_model="sd1"), folder)
    both = lorajax.load(folder)
    assert list(both.models) == [ZOO, "sd1"]
    assert (both.embed(path) == before).all()
    kept = {name for name in alone if name.startswith("bases/")} | {"LICENSE"}
    after = contents(folder)
    assert {name: after[name] for name in kept - {"LICENSE"}} == {
        name: alone[name] for name in kept - {"LICENSE"}
    }
    assert "LICENSE" in after
    front, body = card(folder)
    assert front["base_model"] == [ZOO, "sd1"]
    assert f"## {ZOO}\n" in body and "## sd1\n" in body
    assert f"# LoRA embeddings for {ZOO} or sd1\n" in body


def test_another_model_of_a_base_model_needs_force(run: Path, tmp_path: Path) -> None:
    folder = write_bundle(run, tmp_path / "bundle")
    before = contents(folder)
    write_bundle(run, folder)  # the same one again is no other
    assert contents(folder) == before
    other = another(run, tmp_path / "other")
    with pytest.raises(CheckpointError) as error:
        write_bundle(other, folder)
    old, new = (load_model(path).encoder.hash() for path in (run, other))
    assert old in error.value.message and new in error.value.message
    assert "--force" in error.value.hint
    assert contents(folder) == before
    write_bundle(other, folder, force=True)
    assert lorajax.load(folder).models[ZOO].encoder.hash() == new


class Killed(BaseException):
    """Ends an export without any of its own tidying up."""


STEPS = [
    *((os, "replace"), (shutil, "rmtree")),
    *((Path, name) for name in ("mkdir", "rename", "write_bytes", "write_text")),
]


@contextmanager
def killed_at(step: int) -> Iterator[list[str]]:
    """Dies at the n-th change of the disk, having done half of it where it can."""
    done: list[str] = []

    def counting(name: str, change: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            if len(done) == step:
                if name == "rmtree":
                    sorted(Path(args[0]).iterdir())[0].unlink()
                if name in ("write_bytes", "write_text"):
                    change(args[0], args[1][: len(args[1]) // 2], **options)
                raise Killed
            done.append(name)
            return change(*args, **options)

        return counted

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in STEPS:
            patch.setattr(owner, name, counting(name, getattr(owner, name)))
        yield done


def test_a_killed_export_leaves_the_old_or_the_new(run: Path, tmp_path: Path) -> None:
    other = another(run, tmp_path / "other")
    old, new = (load_model(path).encoder.hash() for path in (run, other))
    start = write_bundle(run, tmp_path / "start")
    finished = write_bundle(other, tmp_path / "finished")
    seen, done = list[str](), list[str]()
    for step in range(100):
        folder = tmp_path / f"killed-{step}"
        shutil.copytree(start, folder)
        try:
            with killed_at(step) as done:
                write_bundle(other, folder, force=True)
        except Killed:
            seen.append(lorajax.load(folder).models[ZOO].encoder.hash())
            write_bundle(other, folder, force=True)
            assert contents(folder) == contents(finished)
        else:
            break
    assert done.count("rename") == 2 and "rmtree" in done
    first = seen.index(new)
    assert set(seen[:first]) == {old} and set(seen[first:]) == {new}


def test_a_killed_first_export_can_be_done_again(run: Path, tmp_path: Path) -> None:
    with killed_at(3), pytest.raises(Killed):
        write_bundle(run, tmp_path / "bundle")
    with pytest.raises(CheckpointError, match=r"expected a bundle with a config\.json"):
        lorajax.load(tmp_path / "bundle")
    write_bundle(run, tmp_path / "bundle")
    whole = contents(write_bundle(run, tmp_path / "whole"))
    assert contents(tmp_path / "bundle") == whole


def test_the_card_says_what_the_run_says(run: Path, tmp_path: Path) -> None:
    folder = write_bundle(run, tmp_path / "bundle", ["onnx"])
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    front, body = card(folder)
    assert "license" not in front and front["library_name"] == "lorajax"
    trained = next(row for row in results["rows"] if row["method"] == "encoder trained")
    listed = front["model-index"][0]["results"][0]["metrics"]
    assert {"type": "map@10", "value": trained["map@10"]["mean"]} in listed
    assert "24 LoRAs of 8 styles; features fitted on 12, 6 held out" in body
    assert results["supervision"] in body
    assert not any(name in body for name in results["held_out"])  # a person's own
    for name, digest in contents(folder).items():
        assert (f"| `{name}` |" in body and digest in body) == name.startswith("bases/")
    assert "| encoder trained | " in body and "## Without lorajax" in body


def test_the_card_of_an_untrained_and_of_an_older_bundle(
    run: Path, tmp_path: Path
) -> None:
    untrained = another(run, tmp_path / "other")
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    note = "not trained: found nothing that says which LoRAs are alike"
    results |= {"trained": False, "rows": [], "evaluation_note": note}
    (untrained / "results.json").write_text(json.dumps(results), encoding="utf-8")
    folder = write_bundle(untrained, tmp_path / "bundle")
    front, body = card(folder)
    assert "model-index" not in front
    assert "**Not measured.** Not trained: found nothing" in body
    assert "## Without lorajax" not in body
    document = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for key in ("results", "settings", "files"):
        del document["bases"][ZOO][key]
    document["trained"] = True
    (folder / "config.json").write_text(json.dumps(document), encoding="utf-8")
    write_bundle(another(run, tmp_path / "second", base_model="sd1"), folder)
    assert "which kept no record" in card(folder)[1]
