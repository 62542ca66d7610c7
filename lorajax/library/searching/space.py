"""The vectors of a space, what to look for among them, and the nearest of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from lorajax.errors import LibraryError
from lorajax.library.search import search
from lorajax.library.spaces import parse_space
from lorajax.library.store import Library

# How much of what is not wanted is taken away at least (`docs/reference.md`).
LEAST_AWAY = 0.25
_SMALLEST = 1e-3


@dataclass(frozen=True, slots=True)
class SpaceVectors:
    """The vectors of a space with the ids of their rows in the table `vectors`."""

    ids: Int[np.ndarray, " n"]
    rows: Float[np.ndarray, "n e"]


def open_space(library: Library, space: str) -> SpaceVectors:
    """The vectors of a space, kept in memory until the library's revision grows.

    Raises:
      LibraryError: where the space is empty; it says what the library has instead.
    """
    if not library.query("SELECT 1 FROM vectors WHERE space = ? LIMIT 1", space):
        raise _empty(library, space)
    return _read(library.path, space, library.revision())


@lru_cache(maxsize=2)
def _read(path: Path, space: str, revision: int) -> SpaceVectors:
    with Library.open(path, create=False) as library:
        keys, rows = library.vectors(space)
        pairs = library.query("SELECT key, id FROM vectors WHERE space = ?", space)
    ids = dict(pairs)
    return SpaceVectors(np.array([ids[key] for key in keys], np.int64), rows)


def nearest(
    space: SpaceVectors,
    query: Float[np.ndarray, " e"],
    k: int,
    allowed: Int[np.ndarray, " a"] | None = None,
) -> list[tuple[int, float]]:
    """(id, cosine) of the k nearest vectors, nearest first.

    Args:
      allowed: the ids to search among; None is all.
    """
    ids, rows = space.ids, space.rows
    if allowed is not None:
        chosen = np.flatnonzero(np.isin(ids, allowed))
        ids, rows = ids[chosen], rows[chosen]
    places, cosines = search(rows, query, k)
    return list(zip(ids[places].tolist(), cosines.tolist(), strict=True))


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
