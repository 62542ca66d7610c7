"""Files that lorajax writes for itself: arrays, facts in the metadata, and a hash.

Such a file may have been damaged, cut short or made by somebody else: whatever it is
made of is checked before it is used, and its hash is computed again.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from safetensors import SafetensorError, safe_open

from lorajax.errors import CheckpointError
from lorajax.formats.text import clean

Arrays = dict[str, np.ndarray]


@runtime_checkable
class Hashed(Protocol):
    """What knows the hash of its contents."""

    def hash(self) -> str: ...


_Made = TypeVar("_Made", bound=Hashed)


def read_own(
    path: Path,
    what: str,
    version: str,
    make: Callable[[Mapping[str, str], Arrays], _Made],
) -> tuple[_Made, dict[str, str]]:
    """What a file of ours holds, and its metadata.

    Args:
      what: "basis", "encoder", …: its version stands under `lorajax_<what>`.
      make: from metadata and arrays; any error in it means a damaged file.

    Raises:
      CheckpointError: for a missing or damaged file, one of another version, and one
        whose contents do not match their hash.
    """
    a = "an" if what[0] in "aeiou" else "a"
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a readable {what}: {error}") from error
    found_version = metadata.get(f"lorajax_{what}")
    if found_version != version:
        raise CheckpointError(
            f"{path}: expected {a} {what} of version {version}, found version "
            f"{clean(str(found_version))}",
            "train again with this version of lorajax",
        )
    try:
        made = make(metadata, arrays)
        found = made.hash()
    except (
        LookupError,
        TypeError,
        ValueError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise CheckpointError(
            f"{path}: expected facts and arrays of {a} {what}, found others "
            f"({type(error).__name__}: {clean(str(error), 120)})",
            "the file is damaged; export the bundle again",
        ) from error
    if found != metadata.get("hash"):
        raise CheckpointError(
            f"{path}: contents do not match their hash "
            f"{clean(metadata.get('hash', ''))}",
            "the file is damaged; export the bundle again",
        )
    return made, metadata
