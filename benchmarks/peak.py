"""The most memory that this process ever held; imports nothing that holds much."""

import sys
from pathlib import Path

import psutil


def peak_bytes() -> int:
    """The most memory that this process ever held.

    `ru_maxrss` would not do on Linux: a child inherits it from its parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text("utf-8").splitlines()
        line = next(line for line in lines if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
