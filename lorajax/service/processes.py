"""Starting processes that outlive the screen, niced and one thread short."""

import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

_NICE = 10


def start_detached(command: Sequence[str], log: Path) -> psutil.Process:
    """Starts a niced process of its own session; its words are appended to a log."""
    with open(log, "ab") as stream:
        child = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=environment(os.environ),
            **_detachment(),
        )
    process = psutil.Process(child.pid)
    # Until somebody has waited for a child that ended, the system keeps it listed.
    threading.Thread(target=child.wait, daemon=True).start()
    be_nice(process)
    _be_nice_as_session(process)
    return process


def be_nice(process: psutil.Process) -> None:
    """Lets the person's other work go before this process."""
    # One that ended at once, or may not be touched, works all the same.
    with suppress(psutil.Error):
        process.nice(getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", _NICE))


def _be_nice_as_session(process: psutil.Process) -> None:
    """Lets other sessions go before that of this process, which leads it.

    Linux may share the processors out among sessions first; niceness of a process then
    counts within its own alone (sched(7), "The autogroup feature").
    """
    group = Path(f"/proc/{process.pid}/autogroup")
    # Not there without that feature, gone with the process, closed in some containers.
    with suppress(OSError):
        group.write_text(str(_NICE), encoding="ascii")


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """The child's environment: one compute thread fewer, so that a screen lives."""
    threads = max(1, (os.cpu_count() or 1) - 1)
    return {"LORAJAX_THREADS": str(threads), "PYTHONUNBUFFERED": "1", **own}


def _detachment() -> dict[str, Any]:
    """What cuts the child off from this process's terminal and group."""
    if os.name == "nt":
        flags = ["DETACHED_PROCESS", "CREATE_NEW_PROCESS_GROUP"]
        return {"creationflags": sum(getattr(subprocess, flag) for flag in flags)}
    return {"start_new_session": True}
