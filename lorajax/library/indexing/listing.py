"""What lies on disk before anything is opened: files, and what stands beside each.

One look at every file and one listing of every folder, however many names a sidecar
may have: on a network each look costs a millisecond.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lorajax.formats.peft_config import CONFIG_NAME
from lorajax.formats.previews import ENDINGS as PREVIEWS
from lorajax.formats.sidecars import ENDINGS as SIDECARS
from lorajax.library.entry import FileStamp, placed, stamp

_CONFIGURED = "adapter_model"
Listed = dict[str, os.DirEntry[str]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be indexed.

    Attributes:
      stamp: what it was when it was looked at.
      config: stamp of the configuration beside it that its update depends on.
      beside: stamp of the sidecars and previews that it is told of by.
    """

    path: Path
    stamp: FileStamp
    config: str = ""
    beside: str = ""


def look_at(files: Sequence[Path]) -> tuple[list[Candidate], list[Path]]:
    """The files as they are now, and those that are gone since they were listed."""
    found: list[Candidate] = []
    gone: list[Path] = []
    folders: dict[Path, Listed] = {}
    for path in map(placed, files):
        if path.parent not in folders:
            folders[path.parent] = _listed(path.parent)
        near = folders[path.parent]
        try:
            now = stamp(path)
        except FileNotFoundError:
            gone.append(path)
            continue
        except OSError:  # which reading it will say in words
            now = FileStamp(0, 0, 0)
        found.append(Candidate(path, now, _config(path, near), _beside(path, near)))
    return found, gone


def is_gone(path: str | Path) -> bool:
    """Whether a file is surely not there; one that cannot be reached may be."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def is_under(path: str, folders: Iterable[str]) -> bool:
    """Whether a path lies in one of these folders, however deep."""
    name = os.path.normcase(path)
    return any(
        name.startswith(os.path.join(os.path.normcase(folder), ""))
        for folder in folders
    )


def _listed(folder: Path) -> Listed:
    try:
        with os.scandir(folder) as entries:
            return {os.path.normcase(entry.name): entry for entry in entries}
    except OSError:  # as above: the files in it are refused or gone one by one
        return {}


def _config(path: Path, near: Listed) -> str:
    """PEFT keeps alpha beside the weights: another one is another update."""
    if not path.name.startswith(_CONFIGURED):
        return ""
    return "".join(_dated(near, [CONFIG_NAME]))


def _beside(path: Path, near: Listed) -> str:
    """Sidecars by name, size and date; of pictures the names are all that is kept."""
    stem = path.stem
    pictures = [os.path.normcase(stem + ending) for ending in PREVIEWS]
    names = [near[picture].name for picture in pictures if picture in near]
    return "\n".join([*_dated(near, [stem + ending for ending in SIDECARS]), *names])


def _dated(near: Listed, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        entry = near.get(os.path.normcase(name))
        if entry is None:
            continue
        with suppress(OSError):  # a link to nowhere tells nothing
            status = os.stat(entry.path)
            yield f"{entry.name} {status.st_size} {status.st_mtime_ns}"
