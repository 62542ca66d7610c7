"""Which folder a run gets, and whether it may go on in one that exists."""

import shutil
from pathlib import Path

from lorajax.config import JobSettings, dump_yaml, load_job
from lorajax.errors import CheckpointError
from lorajax.service.commands import place_of_commands
from lorajax.service.learning.claiming import claimed
from lorajax.training.run_dir import (
    RunDir,
    is_same_process,
    learned_nothing,
    read_status,
)

# What a run writes before it has learned anything, besides its configuration.
_WRITTEN = (
    "status.json",
    "collection.json",
    "metrics.jsonl",
    "log.txt",
    "launch.json",
    "stop",
)


def open_run(settings: JobSettings, stem: str) -> tuple[RunDir, JobSettings]:
    """Makes a run's folder, or opens it again to resume.

    A run that failed or died with nothing to go on from gives its name to the next.

    Args:
      stem: the configuration's file name, which names a run without a name.

    Raises:
      CheckpointError: where the name is taken by another configuration, or the folder
        cannot be written.
    """
    root = Path(settings.run.root)
    name = settings.run.name or _free_name(root, stem)
    path = root / name
    run = settings.run.model_copy(update={"name": name, "resume": False})
    resolved = settings.model_copy(update={"run": run})
    if (path / "config.yaml").exists() and not _begun_afresh(path):
        _check_resumable(path, resolved, settings.run.resume)
    try:
        run_dir = RunDir(path)
        (path / "config.yaml").write_text(dump_yaml(resolved), encoding="utf-8")
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be written: {error.strerror or error}",
            "choose another place with run.root=FOLDER",
        ) from error
    return run_dir, resolved


def _free_name(root: Path, stem: str) -> str:
    """`base`, then `base-2`, `base-3`, …; the folder is made, so the name is ours."""
    name, number = stem, 1
    while True:
        try:
            (root / name).mkdir(parents=True)
            return name
        except FileExistsError:
            if not (root / name).is_dir():
                return name  # a file in the way: opening the folder will say so
            number += 1
            name = f"{stem}-{number}"
        except OSError:
            return name


def _begun_afresh(path: Path) -> bool:
    """Clears what a run wrote that learned nothing; whether it was such a one."""
    if not learned_nothing(path):
        return False
    with claimed(path):
        if not learned_nothing(path):  # another one has begun it meanwhile
            return False
        for name in _WRITTEN:
            (path / name).unlink(missing_ok=True)
        if (path / "splits").exists():
            shutil.rmtree(path / "splits")
        RunDir(path).update()  # before the next one looks
    return True


def _check_resumable(path: Path, settings: JobSettings, resume: bool) -> None:
    status = read_status(path)
    owner = status and (status.pid, status.process_start_time)
    unfinished = status is not None and status.state in ("running", "died")
    if status is not None and owner and unfinished and is_same_process(*owner):
        raise CheckpointError(
            f"{path}: process {status.pid} is working on this run",
            "stop it first, or choose another run.name",
        )
    if not resume:
        state = status.state if status else "unfinished"
        raise CheckpointError(
            f"{path}: there is a run of this name already ({state})",
            "continue it with run.resume=true, or choose another run.name",
        )
    # Its name and place are those of its folder, which may have been moved.
    before = load_job(path / "config.yaml")
    place = {"name": settings.run.name, "root": settings.run.root}
    own = before.run.model_copy(update=place)
    if before.model_copy(update={"run": own}) != settings:
        raise CheckpointError(
            f"{path}: its configuration differs from the one it is to be resumed with",
            f"resume with: {place_of_commands()}lorajax train {path / 'config.yaml'} "
            "run.resume=true, or choose another run.name",
        )
