"""Status and metrics as other processes read them."""

import json
import os
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

from lorajax.training.run_dir import (
    RunDir,
    Status,
    read_metrics,
    read_status,
    write_json,
)


def test_status_round_trip_and_death(tmp_path: Path) -> None:
    assert read_status(tmp_path) is None
    run = RunDir(tmp_path)
    run.update(state="running", stage="training", step=3, total=9)
    status = read_status(tmp_path)
    assert status is not None and (status.state, status.step) == ("running", 3)
    other = replace(status, process_start_time=status.process_start_time - 60)
    write_json(tmp_path / "status.json", other.__dict__)
    died = read_status(tmp_path)
    assert died is not None and died.state == "died"  # the number is another's now
    silent = replace(status, heartbeat=status.heartbeat - 3600)
    write_json(tmp_path / "status.json", silent.__dict__)
    gone = read_status(tmp_path)
    assert gone is not None and gone.state == "died"
    assert not any(name.endswith(".tmp") for name in os.listdir(tmp_path))


def test_a_status_of_nonsense_is_that_of_a_run_that_died(tmp_path: Path) -> None:
    whole = asdict(Status())
    nobodys = (-1, 0.0)
    for text in ("", "{", "[]", "null", '"running"', "1e999", "\udcff"):
        written = text.encode("utf-8", "surrogateescape")
        (tmp_path / "status.json").write_bytes(written)
        found = read_status(tmp_path)
        assert found is not None and found.state == "died", text
        assert found.message == "its status cannot be read"
        assert (found.pid, found.process_start_time) == nobodys
    wrong = [("pid", "x"), ("heartbeat", "x"), ("step", "3"), ("total", None)]
    wrong += [("state", "paused"), ("state", []), ("stage", 3), ("pid", 1.5)]
    for name, value in wrong:
        write_json(tmp_path / "status.json", whole | {name: value})
        found = read_status(tmp_path)
        assert found is not None and found.state == "died", (name, value)
    write_json(tmp_path / "status.json", whole | {"pid": -1, "unheard": "of"})
    found = read_status(tmp_path)
    assert found is not None and found.state == "died"
    assert found.message == "the process is gone"


@pytest.mark.parametrize("field", [one.name for one in fields(Status)])
def test_a_status_without_a_field_is_not_made_up(tmp_path: Path, field: str) -> None:
    """What it lacks is not that of the process which reads it; what it has stays."""
    written = asdict(Status(state="stopped", stage="training", step=3, total=9))
    lacking = {name: value for name, value in written.items() if name != field}
    write_json(tmp_path / "status.json", lacking)
    found = read_status(tmp_path)
    assert found is not None and found.state == "died"
    assert getattr(found, field) != written[field]
    kept = {name for name in lacking if name not in ("state", "message")}
    assert all(getattr(found, name) == written[name] for name in kept)


def test_metrics_are_read_on_from_where_one_was(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.log(kind="train", step=1)
    run.log(kind="train", step=2)
    first = list(read_metrics(tmp_path))
    assert [line["step"] for line, _ in first] == [1, 2]
    with open(tmp_path / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": "train", "step": 3}))  # still being written
    assert list(read_metrics(tmp_path, first[-1][1])) == []
    with open(tmp_path / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write("\n")
    rest = list(read_metrics(tmp_path, first[-1][1]))
    assert [line["step"] for line, _ in rest] == [3]
