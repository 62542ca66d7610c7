"""The library as a file to look after: what is in it, whether it is whole."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lorajax.errors import LibraryError
from lorajax.library import Library
from lorajax.library.entry import placed
from lorajax.library.indexing.listing import is_gone, is_under
from lorajax.library.store.checking import damages
from lorajax.library.store.leaving import ALL_PLACED
from lorajax.library.store.salvaging import Salvage, salvage
from lorajax.library.store.schema import unusable
from lorajax.library.store.tables import SCHEMA_VERSION
from lorajax.service.collection.library import BUNDLE, library_path, present_bases
from lorajax.version import __version__

_JOURNAL = "-wal"
_COUNTS = f"""
SELECT (SELECT COUNT(*) FROM loras WHERE {ALL_PLACED}),
       (SELECT COUNT(*) FROM paths), (SELECT COUNT(*) FROM paths WHERE missing),
       (SELECT COUNT(*) FROM waiting), (SELECT COUNT(*) FROM refused),
       (SELECT COUNT(*) FROM labels)
"""


@dataclass(frozen=True, slots=True)
class LibraryInfo:
    """What a library holds.

    Attributes:
      files: paths of its LoRAs; `missing` of them were gone when last looked for.
      waiting: files of which only the header was read; `refused` could not be used.
      base_models: base model → LoRAs that are there.
      spaces: space → vectors; `current` those that searches use.
      bundle: what it is embedded with, "" for the base space.
      bytes: on disk, with what was written last.
      version: of the file's tables.
    """

    library: str
    loras: int
    files: int
    missing: int
    waiting: int
    refused: int
    labels: int
    base_models: dict[str, int]
    spaces: dict[str, int]
    current: dict[str, str]
    bundle: str
    bytes: int
    version: int
    lorajax: str = __version__


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a library is whole.

    Attributes:
      damages: what is wrong, a line each; empty where it is whole.
      saved: table → rows that were saved, if it was repaired.
      kept: where the damaged file lies since then, else "".
    """

    library: str
    damages: tuple[str, ...]
    saved: dict[str, int] | None = None
    kept: str = ""


def info(path: Path | None = None) -> LibraryInfo:
    """What the library holds."""
    with Library.open(path, create=False) as library:
        (counts,) = library.query(_COUNTS)
        spaces, bases = library.spaces(), present_bases(path)
        current = {base: library.current_space(base) for base in bases}
        bundle, file = library.get_meta(BUNDLE) or "", library.path
    journal = file.with_name(file.name + _JOURNAL)
    sizes = [part.stat().st_size for part in (file, journal) if part.exists()]
    return LibraryInfo(
        str(file),
        *counts,
        base_models=bases,
        spaces=spaces,
        current={base: space for base, space in current.items() if space},
        bundle=bundle,
        bytes=sum(sizes),
        version=SCHEMA_VERSION,
    )


def check(path: Path | None = None, repair: bool = False) -> Check:
    """Whether the library is whole, and a new one of what can be read if it is not.

    Raises:
      LibraryError: where there is none, it is in use or beyond repair.
    """
    file = library_path(path)
    if not file.exists():
        raise LibraryError(
            f"{file}: there is no library here yet",
            "make one with `lorajax index FOLDER`",
        )
    try:
        found = tuple(damages(file))
    except sqlite3.OperationalError as error:
        raise unusable(file, error) from error
    if not (found and repair):
        return Check(str(file), found)
    saved: Salvage = salvage(file)
    return Check(str(file), found, saved.rows, str(saved.kept))


def forget_missing(path: Path | None = None, dirs: Sequence[Path] = ()) -> int:
    """Takes LoRAs whose files are gone out of the library; no file is touched.

    Args:
      dirs: folders that are gone or empty for good: known files under them that are
        not there are forgotten too, though no indexing marked them as missing.

    Returns:
      How many LoRAs went.
    """
    with Library.open(path, create=False) as library:
        folders = [str(placed(folder)) for folder in dirs]
        paths = [path for (path,) in library.query("SELECT path FROM paths")]
        under = [path for path in paths if is_under(path, folders)]
        with library.transaction():
            library.mark_missing(filter(is_gone, under))
            return library.forget_missing()
