"""The folders of feature caches: one per basis, opened, made anew, and pruned.

Receives the folder of all caches, returns the open cache of a basis. Its folder is
named by the basis' hash and holds `scores.bin` and `index.sqlite`. All in it can be
made again, so a folder that is damaged or of another format is set aside, and those
unused for longest go when space is short. A lock keeps processes that open or prune
from each other; one that only reads and writes records is never held up by it.
"""

import logging
import shutil
from collections.abc import Collection
from io import FileIO
from pathlib import Path

import numpy as np

from lorajax.dataset.feature_cache import FeatureCache
from lorajax.dataset.feature_index import (
    Damaged,
    is_in_use,
    locked,
    open_index,
    readable_errors,
)
from lorajax.dataset.feature_records import record_dtype
from lorajax.errors import DatasetError

FORMAT_VERSION = 1
_DATA, _INDEX, _LOCK, _ASIDE = "scores.bin", "index.sqlite", "lock", ".damaged"
_log = logging.getLogger(__name__)


def open_cache(root: Path, basis_hash: str, modules: int, width: int) -> FeatureCache:
    """Opens the cache of a basis, making it where it is not there or is damaged.

    Args:
      root: the folder of all caches.
      modules: of the basis' base model.
      width: scores per module.

    Raises:
      DatasetError: where the folder cannot be read or written.
    """
    if not basis_hash.isalnum():
        raise ValueError(f"expected a hash of letters and digits, found {basis_hash!r}")
    folder, record = root / basis_hash, record_dtype(modules, width)
    with readable_errors(folder):
        root.mkdir(parents=True, exist_ok=True)
        with locked(root / _LOCK):
            try:
                return _open(folder, record)
            except Damaged as fault:
                _log.warning("%s: the feature cache starts anew: %s", folder, fault)
                _set_aside(folder)
                return _open(folder, record)


def prune(root: Path, keep: Collection[str], max_bytes: int) -> list[str]:
    """Removes the caches unused for longest until the rest is small enough.

    Args:
      root: the folder of all caches.
      keep: hashes of bases whose caches stay; so do those that are open anywhere.
      max_bytes: what all caches together may take.

    Returns:
      The names of the folders that went.
    """
    if not root.is_dir():
        return []
    removed = []
    with readable_errors(root), locked(root / _LOCK):
        folders = sorted(filter(_is_cache, root.iterdir()), key=_last_use)
        sizes = {folder: _size(folder) for folder in folders}
        for folder in folders:
            if sum(sizes.values()) <= max_bytes:
                break
            if folder.name not in keep and not is_in_use(folder / _INDEX):
                shutil.rmtree(folder)
                del sizes[folder]
                removed.append(folder.name)
    return removed


def _open(folder: Path, record: np.dtype) -> FeatureCache:
    folder.mkdir(exist_ok=True)
    meta = {
        "version": str(FORMAT_VERSION),
        "basis": folder.name,
        "record": str(record.descr),
    }
    index = open_index(folder / _INDEX, meta)
    try:
        data = _open_data(folder / _DATA, index.rows(), record)
    except BaseException:
        index.close()
        raise
    return FeatureCache(folder, index, data, record)


def _open_data(path: Path, rows: int, record: np.dtype) -> FileIO:
    path.touch()  # the time of last use, for `prune`
    expected, found = rows * record.itemsize, path.stat().st_size
    if found < expected:
        raise Damaged(f"expected {expected} bytes of {path.name}, found {found}")
    file = FileIO(path, "r+")
    if found < record.itemsize:
        file.truncate(record.itemsize)  # an empty file cannot be mapped
    return file


def _set_aside(folder: Path) -> None:
    """Renames a folder that nobody has open; an older one set aside goes."""
    if is_in_use(folder / _INDEX):
        raise DatasetError(
            f"{folder}: this feature cache is damaged, and another process has it open",
            "close the other lorajax processes, then try again",
        )
    aside = folder.with_name(folder.name + _ASIDE)
    if aside.exists():
        shutil.rmtree(aside)
    folder.rename(aside)


def _is_cache(folder: Path) -> bool:
    files = (folder / _DATA, folder / _INDEX)
    return not folder.is_symlink() and any(file.is_file() for file in files)


def _last_use(folder: Path) -> float:
    data = folder / _DATA
    return data.stat().st_mtime if data.is_file() else 0.0


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
