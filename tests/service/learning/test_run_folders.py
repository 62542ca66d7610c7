"""Names that are taken, and those of runs that ended with nothing to go on from."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from lorajax.config import JobSettings, load_job
from lorajax.errors import CheckpointError
from lorajax.export.bundle import read_results
from lorajax.service.learning.claiming import claimed
from lorajax.service.learning.run_folders import open_run
from lorajax.training.run_dir import RunDir, State, read_status, write_json
from tests.conftest import CONFIGS

ENDED: tuple[State, ...] = ("failed", "died")


def settings(root: Path, *more: str) -> JobSettings:
    places = [f"run.root={root}", "run.name=mine"]
    return load_job(CONFIGS / "tiny.yaml", [*places, *more])


def ended(root: Path, state: State) -> Path:
    """A run that ended while it looked for LoRAs at a place without any."""
    run, _ = open_run(settings(root, "collection.path=mistyped"), "tiny")
    if state == "died":
        nobody = replace(run.status, process_start_time=1.0)
        write_json(run.path / "status.json", asdict(nobody))
    else:
        run.update(state=state, message="mistyped: expected a folder of LoRA files")
    run.log(kind="stage", stage="collection", message="none")
    (run.path / "collection.json").write_text("[]")
    (run.path / "splits" / "0" / "states").mkdir(parents=True)
    (run.path / "notes.txt").write_text("a person's own")
    return run.path


@pytest.mark.parametrize("state", ENDED)
@pytest.mark.parametrize("resume", ["false", "true"])
def test_a_run_that_learned_nothing_is_begun_afresh(
    tmp_path: Path, state: State, resume: str
) -> None:
    path = ended(tmp_path, state)
    mended = settings(tmp_path, "collection.path=right", f"run.resume={resume}")
    _, resolved = open_run(mended, "tiny")
    assert resolved.collection.path == "right"
    assert load_job(path / "config.yaml") == resolved
    left = {child.name for child in path.iterdir()} - {"continuing"}
    assert left == {"config.yaml", "status.json", "notes.txt"}
    status = read_status(path)
    assert status is not None and status.state == "running"
    with pytest.raises(CheckpointError, match=f"process {os.getpid()} is working on"):
        open_run(mended, "tiny")


def test_what_was_learned_keeps_its_name(tmp_path: Path) -> None:
    path = ended(tmp_path, "failed")
    (path / "splits" / "0" / "states" / "100").mkdir()
    with pytest.raises(CheckpointError, match=r"of this name already \(failed\)"):
        open_run(settings(tmp_path, "collection.path=mistyped"), "tiny")
    other = settings(tmp_path, "collection.path=right", "run.resume=true")
    with pytest.raises(CheckpointError, match="its configuration differs") as refused:
        open_run(other, "tiny")
    assert "or choose another run.name" in refused.value.hint
    assert (path / "collection.json").exists()


@pytest.mark.parametrize("status", [None, "{", "stopped", "running"])
def test_only_what_surely_ended_is_begun_afresh(
    tmp_path: Path, status: str | None
) -> None:
    path = ended(tmp_path, "failed")
    file = path / "status.json"
    document: dict[str, Any] = json.loads(file.read_text())
    if status is None:  # it is about to say its first word
        file.unlink()
    elif status == "{":  # whose process that was is not known
        file.write_text(status)
    else:
        file.write_text(json.dumps(document | {"state": status}))
    with pytest.raises(CheckpointError):
        open_run(settings(tmp_path, "collection.path=right"), "tiny")
    assert (path / "collection.json").exists()


def test_a_run_that_is_being_continued_is_not_begun_afresh(tmp_path: Path) -> None:
    path = ended(tmp_path, "failed")
    right = settings(tmp_path, "collection.path=right")
    with claimed(path), pytest.raises(CheckpointError, match="continued already"):
        open_run(right, "tiny")
    assert (path / "collection.json").exists()


def test_what_can_be_done_about_missing_results_is_said(tmp_path: Path) -> None:
    def hint(path: Path) -> str:
        with pytest.raises(CheckpointError, match="expected a finished run") as error:
            read_results(path)
        return error.value.hint

    path = ended(tmp_path, "failed")
    assert "run.resume" not in hint(path)
    assert hint(path).startswith("it learned nothing: start it anew")
    assert "run.name=mine" in hint(path)
    assert hint(tmp_path) == "see all runs with: lorajax runs list"
    RunDir(path).update(state="stopped")
    assert "run.resume=true" in hint(path)
    (path / "splits" / "0" / "states" / "100").mkdir()
    RunDir(path).update(state="failed")
    assert "run.resume=true" in hint(path)
    RunDir(path).update(state="running")
    assert hint(path) == "it is still at work: wait until it has finished"
