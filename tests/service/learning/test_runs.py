"""Runs: started apart, watched, stopped, continued, and honest about their end."""

import json
import os
import threading
import time
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from lorajax.errors import CheckpointError, ConfigError
from lorajax.service.learning import runs
from lorajax.service.learning.claiming import claimed
from lorajax.service.learning.configs import SHIPPED, find_configs, shipped
from lorajax.service.learning.curves import read_curves
from lorajax.service.learning.runs import (
    list_runs,
    read_log,
    read_results,
    read_run,
    resume_run,
    start_run,
    stop_run,
)
from lorajax.service.processes import start_detached
from lorajax.training.run_dir import RunDir, is_same_process

Command = tuple[str, str]


def is_running(path: Path) -> bool:
    """Whether the process that was started last still runs."""
    launch = json.loads((path / "launch.json").read_text())
    return is_same_process(launch["pid"], launch["process_start_time"])


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Waits until something is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def test_a_run_goes_its_way_and_is_listed(
    trainer: Command, config: Path, tmp_path: Path
) -> None:
    root = tmp_path / "runs"
    path = start_run(config, ["training.steps=8"], root, trainer)
    assert read_run(path).state in ("starting", "running", "finished")
    wait_for(lambda: read_run(path).state == "finished")
    (run,) = list_runs(root)
    assert run.path == path and run.name.startswith("base-")
    assert run.config == {"training.steps": 8}
    assert read_results(path)["trained"] is True
    curves = read_curves(path)
    assert curves.of["loss", 0].steps == list(range(1, 9))
    assert curves.last("triplet_accuracy") and curves.rate == 640.0
    assert curves.messages[0].startswith("features: read ")


def test_a_run_is_a_session_of_its_own_and_niced(
    trainer: Command, config: Path, tmp_path: Path
) -> None:
    path = start_run(config, ["pause=0.2"], tmp_path, trainer)
    pid = json.loads((path / "launch.json").read_text())["pid"]
    if os.name != "nt":
        assert os.getsid(pid) != os.getsid(0)
        assert psutil.Process(pid).nice() >= 10
    wait_for(lambda: read_run(path).state == "running")
    stop_run(path)
    wait_for(lambda: read_run(path).state == "stopped")


def test_a_stopped_run_can_be_continued(
    trainer: Command, config: Path, tmp_path: Path
) -> None:
    path = start_run(config, ["pause=0.2"], tmp_path, trainer)
    wait_for(lambda: read_run(path).state == "running")
    with pytest.raises(CheckpointError, match="running run cannot be continued"):
        resume_run(path, trainer)
    stop_run(path)
    wait_for(lambda: read_run(path).state == "stopped")
    assert resume_run(path, trainer) == path  # its process may not have ended yet
    assert not (path / "stop").exists()
    command = json.loads((path / "launch.json").read_text())["command"]
    assert command[-1] == "run.resume=true" and f"run.name={path.name}" in command
    wait_for(lambda: read_run(path).state == "finished")
    with pytest.raises(CheckpointError, match="finished run cannot be continued"):
        resume_run(path, trainer)


def test_a_run_whose_process_lives_is_not_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "ENDING_SECONDS", 0.1)
    path = tmp_path / "run"
    RunDir(path).update(state="stopped", message="asked to stop")
    (path / "config.yaml").write_text("training: {steps: 40}\n")
    with pytest.raises(CheckpointError, match="its process has not ended yet"):
        resume_run(path, ("python", "never started"))
    assert (path / "status.json").is_file()


def test_of_many_that_continue_a_run_at_once_one_does(
    trainer: Command, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = start_run(config, ["pause=0.2"], tmp_path, trainer)
    wait_for(lambda: read_run(path).state == "running")
    stop_run(path)
    wait_for(lambda: read_run(path).state == "stopped" and not is_running(path))
    launched, together = [], threading.Barrier(4)

    def launch(command: Sequence[str], log: Path) -> psutil.Process:
        time.sleep(0.2)  # so that all others come meanwhile
        launched.append(command)
        return start_detached(command, log)

    monkeypatch.setattr(runs, "start_detached", launch)

    def resume(number: int) -> str:
        together.wait()
        try:
            return str(resume_run(path, trainer))
        except CheckpointError as error:
            return error.message

    with ThreadPoolExecutor(4) as threads:
        said = list(threads.map(resume, range(4)))
    assert len(launched) == said.count(str(path)) == 1
    assert sum("is being continued already" in words for words in said) == 3
    wait_for(lambda: read_run(path).state == "finished")


def test_a_run_that_another_went_on_with_is_left_alone(
    trainer: Command, config: Path, tmp_path: Path
) -> None:
    path = start_run(config, ["pause=0.2"], tmp_path, trainer)
    wait_for(lambda: read_run(path).state == "running")
    stop_run(path)
    wait_for(lambda: read_run(path).state == "stopped" and not is_running(path))
    with claimed(path), pytest.raises(CheckpointError, match="continued already"):
        resume_run(path, trainer)
    assert (path / "status.json").is_file()
    assert resume_run(path, trainer) == path
    with pytest.raises(CheckpointError, match="cannot be continued"):
        resume_run(path, trainer)
    wait_for(lambda: read_run(path).state == "finished")


def test_a_run_whose_folder_cannot_be_written_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "run"
    RunDir(path).update(state="stopped")
    (path / "continuing").mkdir()  # as a closed folder would do, for root as well
    with pytest.raises(CheckpointError, match="its folder cannot be claimed"):
        resume_run(path, ("python", "never started"))


def test_a_run_that_never_got_going_says_why(
    trainer: Command, config: Path, tmp_path: Path
) -> None:
    path = start_run(config, ["fake=crash"], tmp_path, trainer)
    wait_for(lambda: read_run(path).state == "failed")
    status = read_run(path).status
    assert status and status.message == "configs/base.yaml: unknown key 'lerning_rate'"
    assert "lerning_rate" in read_log(path)
    with pytest.raises(CheckpointError, match="before it had written"):
        resume_run(path, trainer)


def test_a_killed_run_has_died(trainer: Command, config: Path, tmp_path: Path) -> None:
    path = start_run(config, ["pause=0.2"], tmp_path, trainer)
    wait_for(lambda: read_run(path).state == "running")
    status = read_run(path).status
    assert status is not None
    psutil.Process(status.pid).kill()
    wait_for(lambda: read_run(path).state == "died")
    stop_run(path)  # nothing to stop, and nothing to complain about


def test_what_cannot_be_started_is_refused(config: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a configuration file"):
        start_run(tmp_path / "none.yaml", root=tmp_path)
    with pytest.raises(ConfigError, match=r"form a\.b=value"):
        start_run(config, ["steps 3"], tmp_path)
    for place, word in (("run.name=mine", "named after"), ("run.root=here", "--root")):
        with pytest.raises(ConfigError, match=f"found {place}") as refused:
            start_run(config, [place], tmp_path)
        assert word in refused.value.hint
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="cannot be made") as caught:
        start_run(config, root=tmp_path / "file")
    assert "--root" in caught.value.hint


def test_broken_files_of_a_run_do_not_break_the_list(tmp_path: Path) -> None:
    run = tmp_path / "odd"
    run.mkdir()
    (run / "status.json").write_text("{")
    (run / "config.yaml").write_text("- not\n- a mapping: [")
    (run / "metrics.jsonl").write_text('{"kind": "train", "step": 1, "loss": 2}\n{oh\n')
    (tmp_path / "not a run").mkdir()
    (found,) = list_runs(tmp_path)
    assert found.state == "died" and found.config == {}
    assert read_curves(run).last("loss") == 2.0
    assert list_runs(tmp_path / "none") == []


@pytest.mark.parametrize("left", ["", '{"state": "runn'])
def test_a_run_whose_status_was_lost_can_be_continued(
    trainer: Command, tmp_path: Path, left: str
) -> None:
    path = tmp_path / "run"  # started in a terminal: nobody wrote what was launched
    path.mkdir()
    (path / "config.yaml").write_text('{"training": {"steps": 3}}')
    (path / "status.json").write_text(left)
    (run,) = list_runs(tmp_path)
    assert run.state == "died" and run.is_resumable
    assert run.status and run.status.message == "its status cannot be read"
    resume_run(path, trainer)
    wait_for(lambda: read_run(path).state == "finished")


def test_curves_are_read_piece_by_piece(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"kind": "train", "step": 1, "split": 0, "loss": 1.0}\n')
    curves = read_curves(tmp_path)
    with open(file, "a") as stream:
        stream.write('{"kind": "train", "step": 1, "split": 1, "loss": NaN}\n')
        stream.write('{"kind": "train", "step": 2, "split": 1, "loss": 0.5}\n{"kind"')
    curves = read_curves(tmp_path, curves)
    assert curves.of["loss", 0].values == [1.0]
    assert curves.of["loss", 1].values == [0.5]
    file.write_text("")
    assert read_curves(tmp_path, curves).of == {}


def test_steps_that_are_done_again_are_measured_once(tmp_path: Path) -> None:
    def lines(first: int, last: int, loss: float) -> str:
        words = ""
        for step in range(first, last + 1):
            told = {"kind": "train", "step": step, "split": 0, "loss": loss}
            words += json.dumps(told) + "\n"
            if step % 2 == 0:
                told = {"kind": "validation", "step": step, "triplet_accuracy": loss}
                words += json.dumps(told | {"split": 0}) + "\n"
        return words

    file = tmp_path / "metrics.jsonl"
    file.write_text('{"kind": "train", "step": 9, "split": 1, "loss": 3}\n')
    with open(file, "a") as stream:
        stream.write(lines(1, 6, 2.0))
    before = read_curves(tmp_path)
    assert before.of["loss", 0].steps == [1, 2, 3, 4, 5, 6]
    with open(file, "a") as stream:
        stream.write(lines(3, 5, 1.0))
    curves = read_curves(tmp_path, before)
    assert curves.of["loss", 0].steps == [1, 2, 3, 4, 5]
    assert curves.of["loss", 0].values == [2.0, 2.0, 1.0, 1.0, 1.0]
    assert curves.of["triplet_accuracy", 0].steps == [2, 4]
    assert curves.of["triplet_accuracy", 0].values == [2.0, 1.0]
    assert curves.of["loss", 1].steps == [9]
    with open(file, "a") as stream:
        stream.write(lines(1, 1, 0.5))
    curves = read_curves(tmp_path, curves)
    assert curves.of["loss", 0].values == [0.5]
    assert curves.splits("triplet_accuracy") == []


def test_configurations_are_found_with_their_first_paragraph(config: Path) -> None:
    folder = config.parent
    (folder / "ablations").mkdir()
    (folder / "ablations" / "none.yaml").write_text("a: 1\n")
    (folder / "another.yaml").write_text("# Two\n# lines.\n#\n# More.\na: 1\n")
    found = [(choice.name, choice.summary) for choice in find_configs(folder)]
    assert found == [
        ("base", "The usual road."),
        ("another", "Two lines."),
        ("ablations/none", ""),
    ]


def test_a_wheel_brings_the_configurations_along(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    wheel = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    for name in ("tool", "hatch", "build", "targets", "wheel", "force-include"):
        wheel = wheel[name]
    assert wheel == {"configs": "lorajax/configs"}
    assert (SHIPPED / "base.yaml").is_file()
    assert shipped(tmp_path / "lorajax") == tmp_path / "configs"
    (tmp_path / "lorajax" / "configs").mkdir(parents=True)
    assert shipped(tmp_path / "lorajax") == tmp_path / "lorajax" / "configs"
