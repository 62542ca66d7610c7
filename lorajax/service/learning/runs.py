"""Training runs as front ends see them: find, start, stop, continue.

A run is a process of its own in a folder of its own, so it survives the screen that
started it and is found again by any other. Nothing here imports jax.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil
import yaml

from lorajax.errors import CheckpointError, ConfigError
from lorajax.service.learning.claiming import claimed
from lorajax.service.processes import start_detached
from lorajax.training.run_dir import (
    Status,
    is_same_process,
    read_status,
    write_json,
)

TRAIN = (sys.executable, "-m", "lorajax.train")
_LOG_BYTES = 16_384
ENDING_SECONDS = 5.0
# Where a run lies is decided by who starts it.
_PLACES = {
    "run.name": "its folder is named after the configuration and the time; "
    "lorajax train takes a name",
    "run.root": "name the folder of all runs with --root (lorajax-tui: --runs)",
}


@dataclass(frozen=True)
class Run:
    """One run, as it is now.

    Attributes:
      status: None where the run has not said anything yet.
      config: its resolved settings as flat `section.key` names.
      started: Unix time of its folder's making.
    """

    path: Path
    name: str
    status: Status | None
    config: dict[str, Any] = field(default_factory=dict)
    started: float = 0.0

    @property
    def state(self) -> str:
        return self.status.state if self.status else "starting"

    @property
    def is_active(self) -> bool:
        return self.state in ("running", "starting")

    @property
    def is_resumable(self) -> bool:
        """Whether it has ended before it was finished."""
        return not self.is_active and self.state != "finished"


def list_runs(root: Path = Path("checkpoints")) -> list[Run]:
    """Every run below a folder, the newest first."""
    if not root.is_dir():
        return []
    folders = [folder for folder in root.iterdir() if is_run(folder)]
    runs = [read_run(folder) for folder in folders]
    return sorted(runs, key=lambda run: (-run.started, run.name))


def read_run(path: Path) -> Run:
    """One run as it is now."""
    launch = _read_json(path / "launch.json")
    started = launch.get("time") or _modified(path / "config.yaml")
    config = _read_config(path / "config.yaml", _modified(path / "config.yaml"))
    return Run(path, path.name, _status(path, launch), config, float(started))


def read_log(path: Path) -> str:
    """The last words of a run's own output."""
    try:
        with open(path / "log.txt", "rb") as stream:
            stream.seek(max(0, os.path.getsize(path / "log.txt") - _LOG_BYTES))
            return stream.read().decode("utf-8", errors="replace")
    except OSError:
        return ""


def read_results(path: Path) -> dict[str, Any]:
    """The results of a run that has ended, {} before that."""
    return _read_json(path / "results.json")


def start_run(
    config: Path,
    overrides: Sequence[str] = (),
    root: Path = Path("checkpoints"),
    command: Sequence[str] = TRAIN,
) -> Path:
    """Starts a training run as a process of its own; returns its folder.

    Raises:
      ConfigError: for an unreadable configuration, an override without `=`, or one
        of where the run lies.
      CheckpointError: where its folder cannot be made.
    """
    if not config.is_file():
        raise ConfigError(f"{config}: expected a configuration file, found none")
    for override in overrides:
        key, separator, _ = override.partition("=")
        if not separator:
            raise ConfigError(
                f"{override!r}: expected an override of the form a.b=value",
                "for example training.steps=100",
            )
        if hint := _PLACES.get(key.strip()):
            raise ConfigError(
                f"expected settings of a run in a new folder, found {override}", hint
            )
    path = _new_folder(root, config.stem)
    places = [f"run.name={path.name}", f"run.root={root.absolute()}"]
    return _launch(path, [*command, str(config.absolute()), *overrides, *places])


def resume_run(path: Path, command: Sequence[str] = TRAIN) -> Path:
    """Continues a run that was stopped or died, from its last checkpoint.

    A process that is about to end is waited for, some seconds.

    Raises:
      CheckpointError: when it still runs, has ended, is being continued already, or
        has nothing to go on from.
    """
    _ended(path)  # before anything is written
    with claimed(path):
        _await_end(path)
        if not (path / "config.yaml").is_file():
            raise CheckpointError(
                f"{path.name}: it ended before it had written its configuration",
                "start it anew from its configuration file",
            )
        (path / "stop").unlink(missing_ok=True)
        (path / "status.json").unlink(missing_ok=True)
        places = [f"run.name={path.name}", f"run.root={path.parent.absolute()}"]
        config = str((path / "config.yaml").absolute())
        return _launch(path, [*command, config, *places, "run.resume=true"])


def _ended(path: Path) -> Run:
    """A run as it is now, if it has ended before it was finished."""
    run = read_run(path)
    if not run.is_resumable:
        raise CheckpointError(
            f"{run.name}: a {run.state} run cannot be continued",
            "only stopped, failed and died runs can",
        )
    return run


def _await_end(path: Path) -> None:
    """Gives the process of a run that has just stopped a moment to end.

    The run is looked at again each time: another one may have gone on with it.
    """
    end = time.monotonic() + ENDING_SECONDS
    while any(is_same_process(*owner) for owner in _owners(_ended(path))):
        if time.monotonic() > end:
            raise CheckpointError(
                f"{path.name}: its process has not ended yet",
                "wait a moment, then continue it",
            )
        time.sleep(0.05)


def _owners(run: Run) -> list[tuple[int, float]]:
    """The processes that worked on a run last."""
    owners = [_launched(_read_json(run.path / "launch.json"))]
    owners += [_identity(run.status)] if run.status else []
    return [owner for owner in owners if owner]


def stop_run(path: Path) -> None:
    """Asks a run to write a checkpoint and end; returns at once.

    The file `stop` asks on every system; where signals ask, SIGTERM is quicker.
    """
    run = read_run(path)
    if not run.is_active:
        return
    (path / "stop").write_text("asked to stop\n", encoding="utf-8")
    status = run.status
    if os.name != "nt" and status and is_same_process(*_identity(status)):
        with suppress(psutil.Error):
            psutil.Process(status.pid).terminate()


def _launch(path: Path, command: Sequence[str]) -> Path:
    process = start_detached(command, path / "log.txt")
    try:
        born = process.create_time()
    except psutil.Error:
        born = time.time()
    launch = {"time": time.time(), "pid": process.pid, "process_start_time": born}
    write_json(path / "launch.json", {**launch, "command": list(command)})
    return path


def _new_folder(root: Path, stem: str) -> Path:
    """Makes a folder named after the configuration and the time, never an old one."""
    base = f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    for name in (base, *(f"{base}-{i}" for i in range(2, 100))):
        try:
            (root / name).mkdir(parents=True)
            return root / name
        except FileExistsError:
            continue
        except OSError as error:
            raise CheckpointError(
                f"{root}: the run's folder cannot be made ({error.strerror})",
                "choose a writable folder with --root (lorajax-tui: --runs)",
            ) from error
    raise CheckpointError(f"{root}: too many runs named {base}")


def _status(path: Path, launch: dict[str, Any]) -> Status | None:
    """The run's own status; where it died without a word, what its log says."""
    return read_status(path) or _stillborn(path, launch)


def _stillborn(path: Path, launch: dict[str, Any]) -> Status | None:
    """A failed status for a run whose process ended before it wrote one."""
    identity = _launched(launch)
    if identity is None or is_same_process(*identity):
        return None
    pid, born = identity
    words = [line.strip() for line in read_log(path).splitlines() if line.strip()]
    message = words[-1] if words else "it ended without a word"
    return Status(
        "failed", "starting", message=message, pid=pid, process_start_time=born
    )


def _launched(launch: dict[str, Any]) -> tuple[int, float] | None:
    """Number and time of birth of the process that was started last."""
    pid, born = launch.get("pid"), launch.get("process_start_time")
    if isinstance(pid, int) and isinstance(born, float):
        return pid, born
    return None


def _identity(status: Status) -> tuple[int, float]:
    return status.pid, status.process_start_time


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run."""
    signs = ("status.json", "launch.json", "config.yaml")
    return folder.is_dir() and any((folder / sign).is_file() for sign in signs)


def _modified(path: Path) -> float:
    return path.stat().st_mtime if path.is_file() else 0.0


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


@lru_cache(maxsize=512)
def _read_config(path: Path, modified: float) -> dict[str, Any]:
    """A run's settings, flat; read again when the file's time has changed."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return _flat(document) if isinstance(document, dict) else {}


def _flat(document: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as `section.key` names."""
    found: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            found.update(_flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found
