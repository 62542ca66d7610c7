"""Fitted bases, kept between runs: the same LoRAs under the same settings fit the same.

A file that cannot be read is fitted anew; the longest unused go when they are too many.
A lock keeps processes that write from each other; nobody waits for it to read.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from blake3 import blake3

from lorajax.config import FeatureSettings
from lorajax.dataset.feature_index import locked, readable_errors
from lorajax.errors import CheckpointError
from lorajax.projection.basis import Basis
from lorajax.projection.storage import VERSION, load_basis, save_basis

# Settings that change where and how fast, but not what is fitted.
_ASIDE = {"cache_mb", "max_basis_mb"}


def kept_basis(
    root: Path,
    settings: FeatureSettings,
    fitted_on: Sequence[str],
    fit: Callable[[], Basis],
) -> Basis:
    """The basis of these LoRAs, from the folder or fitted now.

    Args:
      fitted_on: content keys, in the order that they are learned from.

    Raises:
      DatasetError: where the folder cannot be written, or is locked for too long.
    """
    path = root / f"{_key(settings, fitted_on)}.safetensors"
    try:
        basis = load_basis(path)
        os.utime(path)
        return basis
    except (CheckpointError, FileNotFoundError):  # it may be pruned between the two
        basis = fit()
    if basis.facts.modules:
        _keep(basis, path, settings.cache_mb * 2**20)
    return basis


def _keep(basis: Basis, path: Path, most: int) -> None:
    """Writes a basis and prunes the others, one process at a time."""
    root = path.parent
    with readable_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        with locked(root / "lock"):
            part = root / "new.part"  # one name: what a killed process left goes
            save_basis(basis, part)
            part.replace(path)
            _prune(root, path, most)


def _key(settings: FeatureSettings, fitted_on: Sequence[str]) -> str:
    told = settings.model_dump_json(exclude=_ASIDE)
    digest = blake3(f"{VERSION}\n{told}\n".encode())
    for key in fitted_on:
        digest.update(key.encode())
    return digest.hexdigest()[:32]


def _prune(root: Path, spared: Path, most: int) -> None:
    """Removes what was unused for longest until the rest fits."""
    files = sorted(root.glob("*.safetensors"), key=lambda file: file.stat().st_mtime)
    total = sum(file.stat().st_size for file in files)
    for file in files:
        if total <= most:
            return
        if file != spared:
            total -= file.stat().st_size
            file.unlink()
