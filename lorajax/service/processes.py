"""Starting processes that outlive the screen, niced and one thread short."""

import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil


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
    return process


def be_nice(process: psutil.Process) -> None:
    """Lets the person's other work go before this process."""
    # One that ended at once, or may not be touched, works all the same.
    with suppress(psutil.Error):
        process.nice(getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", 10))


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
