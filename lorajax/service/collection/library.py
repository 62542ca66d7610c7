"""The library as front ends use it: look and compare.

Neither needs jax nor a model. `indexing`, beside it, brings it up to date.
"""

from pathlib import Path
from typing import Any

import numpy as np

from lorajax.errors import LibraryError
from lorajax.library import (
    Entry,
    IndexReport,
    Library,
    Matches,
    Refusal,
    build_index,
    default_path,
    find,
    nearest,
    space_of,
    vector_of,
)
from lorajax.library.entry import file_named, placed
from lorajax.library.searching.space import forget_spaces, open_space
from lorajax.library.store.location import library_file
from lorajax.service.collection.embedding import NO_BUNDLE
from lorajax.service.progress import OnProgress, Progress

BUNDLE, WANTED_BUNDLE = "bundle", "bundle:wanted"
_PRESENT_BASES = """
SELECT base_model, COUNT(*) FROM loras WHERE EXISTS (
  SELECT 1 FROM paths WHERE paths.key = loras.key AND NOT paths.missing
) GROUP BY base_model ORDER BY COUNT(*) DESC, base_model
"""

__all__ = [
    "BUNDLE",
    "NO_BUNDLE",
    "Entry",
    "IndexReport",
    "Matches",
    "Refusal",
    "build_indexes",
    "bundle_of",
    "columns",
    "entries",
    "entry",
    "library_path",
    "neighbours",
    "present_bases",
    "refused",
    "space_asked",
]


def library_path(path: Path | None = None) -> Path:
    """The library file meant: the one named, or the user's own."""
    return default_path() if path is None else library_file(path)


def entries(path: Path | None = None) -> list[Entry]:
    """Every LoRA of the library, by name."""
    with Library.open(path, create=False) as library:
        return library.entries()


def columns(path: Path | None = None, first: int | None = None) -> dict[str, list[Any]]:
    """The collection column by column, for a table of any length.

    Args:
      first: only as many, the first by name; None is all, in any order.
    """
    with Library.open(path, create=False) as library:
        return library.columns(first)


def present_bases(path: Path | None = None) -> dict[str, int]:
    """Base models with the number of their present LoRAs, the commonest first."""
    with Library.open(path, create=False) as library:
        return dict(library.query(_PRESENT_BASES))


def entry(path: Path | None, key: str) -> Entry | None:
    """The LoRA with a content key."""
    with Library.open(path, create=False) as library:
        return library.entry(key)


def refused(path: Path | None = None) -> list[Refusal]:
    """The files that could not be read when they were last seen."""
    with Library.open(path, create=False) as library:
        return library.refused()


def neighbours(
    path: Path | None, query: str | Path, k: int = 10, model: Path | None = None
) -> Matches:
    """The nearest neighbours of a LoRA of the library, or of any file.

    Args:
      query: a content key, a name, a part of a name, or the path of a file. A file
        that the library does not know is read and embedded (which imports jax).
      model: the bundle whose space is searched; None is the library's own.
    """
    with Library.open(path, create=False) as library:
        known = library.entry(str(query)) or _known(library, query)
        if known is None:
            return _neighbours_of_file(library, Path(query), k, model)
        space = space_of(library, known, space_asked(known, model))
        matrix = open_space(library, space)
        vector = vector_of(library, matrix, known)
        return nearest(library, matrix, vector, k, known.name, known.key)


def build_indexes(
    path: Path | None = None, on_progress: OnProgress | None = None
) -> dict[str, int]:
    """Builds an index for every space that is slow to search without, or extends it.

    Takes minutes for a million vectors; a build that was interrupted goes on there.

    Returns:
      Space → how many vectors its index covers, of those spaces alone.

    Raises:
      LibraryError: where there is no library, or its caches cannot be written.
    """
    tell = on_progress or (lambda progress: None)
    built = {}
    with Library.open(path, create=False) as library:
        for space in library.spaces():
            matrix = library.matrix(space)
            if matrix.is_large:
                built[space] = build_index(
                    matrix,
                    library.vectors_folder,
                    lambda done, total, space=space: tell(
                        Progress("building an index", done, total, space)
                    ),
                )
    forget_spaces()
    return built


def _known(library: Library, query: str | Path) -> Entry | None:
    """The entry that is meant, or None for a file that the library does not know."""
    file = file_named(query)
    if file and library.key_at(placed(file)) is None:
        return None
    return find(library, str(query))


def space_asked(known: Entry, model: Path | None) -> str | None:
    """The space of a bundle that was asked for, which opening it tells."""
    if model is None:
        return None
    from lorajax.service.collection.embedding import open_embedder

    embedder = open_embedder(model)
    return embedder.space(known.facts.base_model)


def _neighbours_of_file(
    library: Library, file: Path, k: int, model: Path | None
) -> Matches:
    from lorajax.service.collection.describing import describe
    from lorajax.service.collection.embedding import open_embedder

    found = describe(file)
    embedder = open_embedder(bundle_of(library, model))
    space = embedder.space(found.facts.base_model)
    matrix = open_space(library, space)
    vector = np.asarray(embedder.embed(found.adapter), dtype=np.float32)
    return nearest(library, matrix, vector, k, found.facts.name, found.key)


def bundle_to_index(library: Library, model: Path | None) -> Path | None:
    """`bundle_of`, or that of a run with another one which was ended before its end."""
    wanted = library.get_meta(WANTED_BUNDLE) if model is None else None
    return bundle_of(library, model if wanted is None else Path(wanted or NO_BUNDLE))


def bundle_of(library: Library, model: Path | None) -> Path | None:
    """The bundle to embed with: the one asked for, or the one the library keeps."""
    if model is not None:
        return None if model == NO_BUNDLE else model
    kept = library.get_meta(BUNDLE)
    if kept and not Path(kept).is_dir():
        raise LibraryError(
            f"{library.path}: expected the bundle it was indexed with at {kept}, "
            "found none",
            "give its new place with --model, or go back with --model none",
        )
    return Path(kept) if kept else None
