"""Regular files, opened without waiting, and noticed when they change.

A pipe would be waited for, a device may never end, and a file that its trainer writes
anew while it is read would give half of each.
"""

import os
import stat
from io import FileIO
from pathlib import Path

from lorajax.errors import FormatError

# Device, inode, size and time of the last change: equal while nothing is written.
Stamp = tuple[int, int, int, int]


def open_regular(path: Path) -> FileIO:
    """The file, opened for reading without a buffer.

    Raises:
      FormatError: for a folder, a pipe or a device, without the path in front.
      OSError: as `open`.
    """
    # Looked at before opening as well, since opening a device may already do something.
    _check(path.stat())
    file = FileIO(path, "rb", opener=_at_once)
    try:
        _check(os.fstat(file.fileno()))
    except FormatError:
        file.close()
        raise
    return file


def read_bounded(path: Path, most: int) -> bytes | None:
    """All bytes of a regular file, or None where they are more than `most`.

    Raises:
      FormatError, OSError: as `open_regular`.
    """
    found = bytearray()
    with open_regular(path) as file:
        while len(found) <= most and (part := file.read(most + 1 - len(found))):
            found += part
    return bytes(found) if len(found) <= most else None


def stamp_of(file: FileIO) -> Stamp:
    """What changes whenever the file is written to or replaced."""
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _check(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise FormatError("expected a regular file, found a folder or a device")


def _at_once(path: str | Path, flags: int) -> int:
    """Opened without waiting for the other end of a pipe, where there are such."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
