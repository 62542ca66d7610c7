"""`lorajax runs` as a script uses it: what the train screen does, without a screen."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lorajax.cli import app
from lorajax.service.learning import runs as service

ROOT = Path(__file__).parents[2]
TRAINER = ROOT / "tests" / "service" / "fake_trainer.py"


def run(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["runs", *map(str, words)])
    assert result.exit_code == code, result.output
    return result.stdout


def document(*words: object) -> Any:
    return json.loads(run(*words, "--json"))


def until_state(path: str, state: str) -> dict[str, Any]:
    end = time.monotonic() + 20
    while (found := document("show", path))["state"] != state:
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


def test_a_run_is_started_watched_stopped_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "TRAIN", (sys.executable, str(TRAINER)))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    config, root = tmp_path / "base.yaml", tmp_path / "runs"
    config.write_text("training: {steps: 400}\n")
    words = ("start", config, "training.steps=400", "pause=0.02", "--root", root)
    path = document(*words)["run"]
    below = (Path(path).name, "--root", root)  # as `runs list` names it
    until_state(path, "running")
    assert document("stop", path) == {"run": path}
    stopped = until_state(path, "stopped")
    assert stopped["config"] == {"training.steps": 400}
    assert 0 < stopped["step"] < stopped["total"] == 400
    (listed,) = document("list", "--root", root)["runs"]
    assert listed == {name: stopped[name] for name in listed}
    assert listed["name"] in run("list", "--root", root)
    assert document("resume", path) == {"run": path}
    until_state(path, "running")
    assert document("stop", *below) == {"run": path}
    assert until_state(path, "stopped") == document("show", *below)
    again = CliRunner().invoke(app, ["runs", "stop", path])
    assert again.exit_code == 0 and "watch it" not in again.output
    assert "nothing to stop, the run has stopped" in " ".join(again.stdout.split())
    assert document("resume", *below) == {"run": path}
    until_state(path, "running")
    run("stop", *below)
    until_state(path, "stopped")
    run("show", tmp_path, code=1)
    run("resume", tmp_path, code=1)


def test_a_name_is_looked_for_below_the_folder_of_all_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("checkpoints/mine", "other/mine"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "config.yaml").write_text("training: {steps: 3}\n")
    (tmp_path / "mine").mkdir()  # of that name, and no run
    assert document("show", "mine")["path"] == str(Path("checkpoints/mine"))
    assert document("show", "mine", "--root", "other")["path"] == str(
        Path("other/mine")
    )
    assert document("show", "other/mine")["path"] == str(Path("other/mine"))
    refused = CliRunner().invoke(app, ["runs", "show", "yours", "--root", "other"])
    said = " ".join(refused.output.split())
    assert "expected the folder of a run, or a name of one in other, found none" in said
    assert "lorajax runs list --root other" in said


def test_without_a_run_it_is_said_how_one_is_started(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["runs", "list", "--root", str(tmp_path)])
    said = " ".join(result.output.split())
    assert said.startswith(f"no runs below {tmp_path}")
    assert f"lorajax runs start configs/base.yaml --root {tmp_path}" in said


def test_settings_and_configurations_are_told(tmp_path: Path) -> None:
    configs = document("configs")
    assert {"base", "tiny"} <= {one["name"] for one in configs}
    (tiny,) = [one["path"] for one in configs if one["name"] == "tiny"]
    saved = tmp_path / "own.yaml"
    words = ("settings", tiny, "training.steps=7", "--save", saved)
    found = document(*words)
    assert found["settings"]["training.steps"] == "7"
    assert document("settings", saved)["settings"] == found["settings"]
    assert "training.steps" in run("settings", tiny)
    run("settings", tiny, "training.step=7", code=1)


def test_runs_are_compared_by_what_differs(tmp_path: Path) -> None:
    for name, rate in (("a", 0.1), ("b", 0.2)):
        (tmp_path / name).mkdir()
        text = json.dumps({"training": {"rate": rate, "steps": 3}})
        (tmp_path / name / "config.yaml").write_text(text)
    found = document("compare", tmp_path / "a", tmp_path / "b")
    assert found["settings"] == {"training.rate": [0.1, 0.2]}
    assert "training.rate" in run("compare", tmp_path / "a", tmp_path / "b")
    assert document("compare", "a", "b", "--root", tmp_path) == found
