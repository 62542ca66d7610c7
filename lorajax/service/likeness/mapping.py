"""The map of a collection: every LoRA of one space at a place in the plane.

By default the plane is that of the two directions in which the vectors of the space
differ most (PCA): a linear view, in which distances are never larger than they are.
UMAP, where it is installed, keeps neighbours together instead and means nothing by
its distances. Neither needs jax; maps are kept until the library changes.
"""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from lorajax.errors import LibraryError, LorajaxError
from lorajax.library import Library, parse_space
from lorajax.service.asking import ask

Ask = Callable[[Sequence[str]], Any]
Method = Literal["pca", "umap"]
METHODS: tuple[Method, ...] = ("pca", "umap")
# Directions are found among at most so many vectors, spread evenly; all are placed.
MAX_FITTED = 20_000
_NEIGHBOURS = 15


@dataclass(frozen=True)
class Space:
    """One space that can be drawn, with the number of its vectors."""

    name: str
    base_model: str
    count: int
    is_current: bool


@dataclass(frozen=True, eq=False)
class SpaceMap:
    """Where the LoRAs of a space lie in the plane.

    Attributes:
      keys, names: of the LoRAs, row by row.
      positions: in the plane; of PCA in units of the vectors, of UMAP in its own.
      explained: the share of the vectors' variance that either axis shows; None for
        UMAP, whose axes mean nothing.
    """

    space: str
    method: Method
    keys: tuple[str, ...]
    names: tuple[str, ...]
    positions: Float[np.ndarray, "n 2"]
    explained: tuple[float, float] | None


def spaces(path: Path | None = None) -> list[Space]:
    """The spaces of a library: current ones first, then by their number of LoRAs."""
    with Library.open(path, create=False) as library:
        found = [
            Space(name, base, count, library.current_space(base) in (name, None))
            for name, count in library.spaces().items()
            for base in (parse_space(name).base_model,)
        ]
    return sorted(found, key=lambda one: (-one.is_current, -one.count, one.name))


def has_umap() -> bool:
    """Whether UMAP can be asked for."""
    return importlib.util.find_spec("umap") is not None


def map_space(
    path: Path | None = None, space: str | None = None, method: Method = "pca"
) -> SpaceMap:
    """The map of a space.

    Args:
      space: its name, or that of a base model; none as of `chosen_space`.

    Raises:
      LibraryError: where there is no such space, or UMAP is asked for and missing.
    """
    name = chosen_space(path, space).name
    with Library.open(path, create=False) as library:
        found = _mapped(library.path, name, method, library.revision())
        return _named(library, found)


def chosen_space(path: Path | None, asked: str | None) -> Space:
    """The space of a name, or the first of a base model; None is the first of all.

    Spaces that are current come before those that a refit has left behind, among
    either those with the most LoRAs.

    Raises:
      LibraryError: where there is no such space.
    """
    known = spaces(path)
    fits = [one for one in known if asked in (None, one.name, one.base_model)]
    if fits:
        return fits[0]
    if not known:
        raise LibraryError(
            "there is no map: no LoRA of this library has a vector yet",
            "bring some in with `lorajax index FOLDER`",
        )
    bases = ", ".join(dict.fromkeys(one.base_model for one in known))
    raise LibraryError(
        f"expected a space or a base model of this library, found {asked!r}",
        f"choose one of: {bases}",
    )


@lru_cache(maxsize=4)
def _mapped(path: Path, space: str, method: Method, revision: int) -> SpaceMap:
    """The map of vectors, with keys for names."""
    with Library.open(path, create=False) as library:
        keys, matrix = library.unit_rows(space)
    names = tuple(keys)
    if method == "umap":
        return SpaceMap(space, method, tuple(keys), names, _umap(matrix), None)
    positions, explained = principal_plane(matrix)
    return SpaceMap(space, method, tuple(keys), names, positions, explained)


def _named(library: Library, found: SpaceMap) -> SpaceMap:
    """A kept map with the names of today: a file may be renamed, vectors alike."""
    known = dict(library.query("SELECT key, name FROM loras"))
    return replace(found, names=tuple(known.get(key, key) for key in found.keys))


def principal_plane(
    matrix: Float[np.ndarray, "n e"],
) -> tuple[Float[np.ndarray, "n 2"], tuple[float, float]]:
    """Positions in the plane of the two first principal components.

    Returns:
      The positions, and the share of the variance that either axis shows; both 0
      where the vectors do not differ.
    """
    from scipy.linalg import eigh

    fitted = matrix[:: -(-len(matrix) // MAX_FITTED)].astype(np.float64)
    mean = fitted.mean(axis=0)
    fitted -= mean
    dual = len(fitted) < fitted.shape[1]
    moments = fitted @ fitted.T if dual else fitted.T @ fitted
    size = len(moments)
    # Only the largest are computed: all of them take seconds where vectors are wide.
    wanted = (max(0, size - 2), size - 1)
    variances, found = eigh(moments, subset_by_index=wanted)
    total, largest = float(np.trace(moments)), np.maximum(variances[::-1], 0)
    axes = found[:, ::-1].T  # [2, n or e]
    if dual:
        lengths = np.sqrt(np.maximum(largest, np.finfo(float).tiny))
        axes = (axes @ fitted) / lengths[:, None]
    # Either sign is as good: the side of the larger numbers is made the positive one.
    farthest = np.argmax(np.abs(axes), axis=1)
    axes *= np.where(axes[np.arange(len(axes)), farthest] < 0, -1.0, 1.0)[:, None]
    positions = np.zeros((len(matrix), 2))
    positions[:, : len(axes)] = matrix @ axes.T.astype("f4") - mean @ axes.T
    shares = [float(v / total) if total > 0 else 0.0 for v in (*largest, 0.0)[:2]]
    return positions, (shares[0], shares[1])


def _umap(matrix: Float[np.ndarray, "n e"]) -> Float[np.ndarray, "n 2"]:
    if not has_umap():
        raise LibraryError(
            "UMAP is not installed",
            "pip install 'lorajax[umap]', or use the method pca",
        )
    if len(matrix) <= _NEIGHBOURS:
        raise LibraryError(
            f"UMAP needs more than {_NEIGHBOURS} LoRAs, this space has {len(matrix)}",
            "use the method pca",
        )
    from umap import UMAP  # type: ignore[import-not-found]

    reducer = UMAP(n_neighbors=_NEIGHBOURS, metric="cosine", random_state=0, n_jobs=1)
    return np.asarray(reducer.fit_transform(matrix), dtype=np.float64)


@lru_cache(maxsize=4)
def _drawn_elsewhere(path: Path, space: str, revision: int, ask: Ask) -> SpaceMap:
    words = ["map", "--library", str(path), "--space", space, "--method", "umap"]
    try:
        return _read_document(ask(words))
    except LorajaxError as error:
        message = f"UMAP failed: {error.message}"
        raise LibraryError(message, "use the method pca") from error


def umap_in_process(
    path: Path | None, space: str | None = None, ask: Ask = ask
) -> SpaceMap:
    """The map by UMAP, drawn by a process of its own: a screen stays alive.

    Args:
      ask: what puts the question, so that it may be halted; one object keeps its maps.

    Raises:
      LibraryError: where there is no such space, or UMAP fails.
    """
    name = chosen_space(path, space).name
    with Library.open(path, create=False) as library:
        found = _drawn_elsewhere(library.path, name, library.revision(), ask)
        return _named(library, found)


def _read_document(document: dict[str, Any]) -> SpaceMap:
    points, share = document["points"], document["explained"]
    return SpaceMap(
        document["space"],
        document["method"],
        tuple(point["key"] for point in points),
        tuple(point["name"] for point in points),
        np.array([[point["x"], point["y"]] for point in points]).reshape(-1, 2),
        None if share is None else (share[0], share[1]),
    )


def map_document(found: SpaceMap, groups: Sequence[str] | None = None) -> Any:
    """The map as a plain document.

    Args:
      groups: the group of each LoRA, "" for none.
    """
    own = groups or [""] * len(found.keys)
    rows = zip(found.keys, found.names, found.positions.tolist(), own, strict=True)
    return {
        "space": found.space,
        "method": found.method,
        "explained": found.explained and [round(share, 6) for share in found.explained],
        "points": [
            {
                "key": key,
                "name": name,
                "x": round(x, 6),
                "y": round(y, 6),
                "group": group or None,
            }
            for key, name, (x, y), group in rows
        ],
    }
