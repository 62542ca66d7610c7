"""Puts a file in its place at once: whole under its name, or not there."""

import os
from pathlib import Path

UNFINISHED = ".unfinished"


def place(path: Path, content: bytes) -> None:
    """Writes beside the place first, under a name of this process, then moves there."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}{UNFINISHED}")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
