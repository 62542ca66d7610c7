"""The folder of a run: what it writes while it works and what others read of it.

A run is a folder `checkpoints/<run>/` with `config.yaml`, `status.json`,
`metrics.jsonl`, `basis.safetensors`, `results.json` and the Orbax checkpoints.
`status.json` is replaced atomically, so a reader never sees half of one; a run whose
process is gone, or whose process number belongs to another process now, has died.
"""

import json
import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import psutil

State = Literal["running", "finished", "stopped", "failed", "died"]
HEARTBEAT_SECONDS = 120.0
BEAT_SECONDS = 20.0
SAME_BIRTH_SECONDS = 2.0
RETRY_SECONDS = (0.01, 0.05, 0.2)
# The defaults of what a status lacks would speak of the process that reads it.
_OF_NOBODY = {"pid": -1, "process_start_time": 0.0, "heartbeat": 0.0}
_UNREADABLE = {"state": "died", "message": "its status cannot be read"}


@dataclass(frozen=True)
class Status:
    """What a run is doing.

    Attributes:
      state: `running`, `finished`, `stopped` (asked to, can be resumed) or `failed`;
        readers also see `died` (a run that claims to run and does not, or whose status
        is not whole).
      stage: what it works on, in the words of the progress display.
      step, total: optimiser steps done and planned, over all splits.
      heartbeat: Unix time of the last sign of life.
    """

    state: State = "running"
    stage: str = "starting"
    step: int = 0
    total: int = 0
    message: str = ""
    pid: int = field(default_factory=os.getpid)
    process_start_time: float = field(
        default_factory=lambda: psutil.Process().create_time()
    )
    heartbeat: float = field(default_factory=time.time)


class RunDir:
    """Writes a run's status and metrics; one process owns it at a time."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.status = Status()
        self._writing = threading.Lock()

    def update(self, **changes: Any) -> None:
        """Replaces fields of the status and writes it, heartbeat included."""
        with self._writing:
            self.status = replace(self.status, **{"heartbeat": time.time(), **changes})
            write_json(self.path / "status.json", asdict(self.status))

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Gives a sign of life now and then while the body works in silence."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(BEAT_SECONDS):
                self.update()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def log(self, **values: Any) -> None:
        """Appends one line to `metrics.jsonl`, flushed as it happens."""
        with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(_json({"time": round(time.time(), 3), **values}) + "\n")


def write_json(path: Path, document: Any) -> None:
    """Writes JSON through a temporary file, so that readers never see half of it."""
    temporary = path.with_name(path.name + ".tmp")
    text = _json(document, indent=2, ensure_ascii=False)
    temporary.write_text(text + "\n", encoding="utf-8")
    for wait in (*RETRY_SECONDS, None):
        try:
            os.replace(temporary, path)
            return
        except PermissionError:  # Windows: somebody is reading it just now
            if wait is None:
                raise
            time.sleep(wait)


def read_status(path: Path) -> Status | None:
    """The status of a run folder as it is now, or None where there is none.

    One that is not whole was left by a run that died, or by its disk: a run that lives
    would have replaced it.
    """
    try:
        document = json.loads((path / "status.json").read_text(encoding="utf-8"))
    except OSError:
        return None
    except ValueError:
        document = {}
    known = _known(document)
    if len(known) < len(fields(Status)):
        return Status(**{**_OF_NOBODY, **known, **_UNREADABLE})
    status = Status(**known)
    if status.state == "running" and not is_alive(status):
        return replace(status, state="died", message="the process is gone")
    return status


def learned_nothing(path: Path) -> bool:
    """Whether a run has surely ended, failed or dead, with nothing to go on from.

    Where its status does not tell whose process it was, that may be at work still.
    """
    status = read_status(path)
    if status is None or status.state not in ("failed", "died") or status.pid < 0:
        return False
    if status.state == "died" and is_same_process(
        status.pid, status.process_start_time
    ):
        return False
    steps = (state.name.isdigit() for state in path.glob("splits/*/states/*"))
    kept = ("results.json", "encoder.safetensors", "splits/*/*.json")
    return not any(steps) and not any(any(path.glob(one)) for one in kept)


def _known(document: Any) -> dict[str, Any]:
    """The fields of a status that a document has, each of its own kind."""
    document = document if isinstance(document, dict) else {}
    kinds = {one.name: one.type for one in fields(Status)}
    return {
        name: document[name]
        for name, kind in kinds.items()
        if name in document and _is_of(document[name], kind)
    }


def _is_of(value: Any, kind: Any) -> bool:
    if kind is State:
        return value in get_args(State)
    return type(value) in ((int, float) if kind is float else (kind,))


def is_alive(status: Status) -> bool:
    """Whether the very process that wrote this status still runs and gives signs."""
    same = is_same_process(status.pid, status.process_start_time)
    return same and time.time() - status.heartbeat < HEARTBEAT_SECONDS


def is_same_process(pid: int, born: float) -> bool:
    """Whether the process with this number is still the one that was born then."""
    try:
        process = psutil.Process(pid)
        zombie = process.status() == psutil.STATUS_ZOMBIE
        return not zombie and abs(process.create_time() - born) < SAME_BIRTH_SECONDS
    except (psutil.Error, ValueError, TypeError):
        return False


def read_metrics(path: Path, offset: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
    """Yields (line, offset after it) of `metrics.jsonl` from a byte offset.

    A line that is still being written is left for the next call.
    """
    file = path / "metrics.jsonl"
    if not file.exists():
        return
    with open(file, "rb") as stream:
        stream.seek(offset)
        for line in stream:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield json.loads(line), offset


def _json(document: Any, **how: Any) -> str:
    """Strict JSON: a number that could not be measured is null."""
    return json.dumps(_without_nan(document), allow_nan=False, **how)


def _without_nan(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_nan(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_without_nan(value) for value in node]
    return None if isinstance(node, float) and not math.isfinite(node) else node
