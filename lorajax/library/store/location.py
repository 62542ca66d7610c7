"""Where a person's library lies on disk."""

import os
from pathlib import Path

import platformdirs

FILE_NAME = "library.sqlite"


def default_path() -> Path:
    """The library of this user: `LORAJAX_LIBRARY`, or the user's data directory."""
    moved = os.environ.get("LORAJAX_LIBRARY")
    if moved:
        return library_file(Path(moved))
    return Path(platformdirs.user_data_dir("lorajax", appauthor=False)) / FILE_NAME


def library_file(path: Path) -> Path:
    """The library file meant by a path that may name a folder or the file itself."""
    path = Path(os.path.expanduser(path))
    if os.path.isdir(path) or (not os.path.exists(path) and path.suffix == ""):
        return path / FILE_NAME
    return path
