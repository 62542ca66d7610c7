"""The vectors of a space, and what to look for among them."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from lorajax.errors import LibraryError
from lorajax.library.spaces import parse_space
from lorajax.library.store import Library
from lorajax.library.vectors import Matrix

# How much of what is not wanted is taken away at least (`docs/reference.md`).
LEAST_AWAY = 0.25
_SMALLEST = 1e-3


def open_space(library: Library, space: str) -> Matrix:
    """The vectors of a space, kept open until the library's vectors change.

    Raises:
      LibraryError: where the space is empty; it says what the library has instead.
    """
    if not library.query("SELECT 1 FROM vectors WHERE space = ? LIMIT 1", space):
        raise _empty(library, space)
    return _open(library.path, space, library.revision(), library.newest_id())


@lru_cache(maxsize=2)
def _open(path: Path, space: str, revision: int, newest: int) -> Matrix:
    """The newest id is asked too: another library may have been put in its place."""
    with Library.open(path, create=False) as library:
        return library.matrix(space)


def forget_spaces() -> None:
    """Has every space opened again, as after an index was built for it."""
    _open.cache_clear()


def direction(
    like: Sequence[Float[np.ndarray, " e"]],
    unlike: Sequence[Float[np.ndarray, " e"]] = (),
) -> Float[np.ndarray, " e"]:
    """The unit vector to look for: like all of the first, less like the others.

    With unit means a and b of the two it is a − max(a · b, 0.25) b of length one: what
    they have in common goes, and a quarter of b where they have less.

    Raises:
      LibraryError: where nothing is left to look for.
    """
    found = mean(like)
    if len(unlike):
        away = mean(unlike)
        found = found - max(float(found @ away), LEAST_AWAY) * away
    return _unit(found)


def mean(vectors: Sequence[Float[np.ndarray, " e"]]) -> Float[np.ndarray, " e"]:
    """The direction in the middle of some; each counts alike.

    Raises:
      LibraryError: where they cancel out.
    """
    return _unit(np.sum([_unit(vector) for vector in vectors], axis=0))


def _unit(vector: Float[np.ndarray, " e"]) -> Float[np.ndarray, " e"]:
    length = float(np.linalg.norm(vector))
    if not length > _SMALLEST:
        raise LibraryError(
            "expected LoRAs with a direction in common, found none left",
            "those to be like and those to be unlike cancel out: name fewer",
        )
    return vector / np.asarray(length, vector.dtype)


def _empty(library: Library, space: str) -> LibraryError:
    name = parse_space(space)
    there = ", ".join(
        f"{parse_space(known).base_model} ({count})"
        for known, count in sorted(library.spaces().items())
    )
    return LibraryError(
        f"no LoRA of {name.base_model} in this library has a vector in space {space}; "
        f"it has {there or 'no vectors at all'}",
        "LoRAs are compared within their base model: index some of "
        f"{name.base_model}, with the same --model",
    )
