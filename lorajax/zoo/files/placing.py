"""Puts a file in its place at once: whole under its name, or not there."""

import os
from pathlib import Path

UNFINISHED = ".unfinished"


def place(path: Path, content: bytes) -> None:
    """Writes beside the place first, then moves there."""
    unfinished = path.with_name(path.name + UNFINISHED)
    unfinished.write_bytes(content)
    os.replace(unfinished, path)
