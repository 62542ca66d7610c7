"""Indexing that goes on: folders are watched, and changes are read once they rest.

A file that a trainer or a download still writes is left alone until nothing was heard
of it for a while; one that never rests holds up no other.
"""

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from lorajax.errors import LibraryError
from lorajax.library import Embedder, IndexReport, Library
from lorajax.library.entry import FileStamp, placed, stamp
from lorajax.service.collection.indexing import OpenEmbedder, index_folders
from lorajax.service.collection.library import bundle_to_index, library_path
from lorajax.service.progress import OnProgress

QUIET_SECONDS = 2.0
_TICK_MS = 500


def watch_folders(
    dirs: Sequence[Path],
    path: Path | None = None,
    model: Path | None = None,
    refit: bool = False,
    on_progress: OnProgress | None = None,
) -> Iterator[IndexReport]:
    """Indexes folders, and again whenever something in them has changed.

    Args: as of `index_folders`; `refit` is for the first time alone.

    Yields:
      What every run found, of refused files those that were not refused alike by the
      run before; it ends by being left, or by Ctrl-C.

    Raises:
      LibraryError: for a folder that cannot be watched, and as `index_folders`.
    """
    from lorajax.service.compute import prepare_jax

    prepare_jax()
    opener = _keeping_opener()
    with Library.open(path) as library:
        opener(bundle_to_index(library, model))  # refused before anything is watched
    changes = changes_in(dirs, str(placed(library_path(path))))
    next(changes)  # from here on nothing is missed
    once = index_folders(dirs, path, model, refit, on_progress, opener=opener)
    yield once
    before = set(once.refused)
    for busy in quiet_moments(changes):
        leave = {Path(name) for name in busy}
        found = index_folders(
            dirs, path, None, False, on_progress, opener=opener, leave=leave
        )
        new = tuple(refusal for refusal in found.refused if refusal not in before)
        yield replace(found, refused=new)
        before = set(found.refused)


def _keeping_opener() -> OpenEmbedder:
    """Opens a bundle once, until it is another one or was exported anew.

    Both happen while folders are watched: the bundle may be changed by an indexing
    beside it, whose vectors would go if these were made with the one of before.
    """
    from lorajax.export.bundle import CONFIG_FILE
    from lorajax.service.collection.embedding import open_embedder

    @lru_cache(maxsize=1)
    def opened(bundle: Path | None, _written: FileStamp | None) -> Embedder:
        return open_embedder(bundle)

    def opener(bundle: Path | None) -> Embedder:
        config = bundle / CONFIG_FILE if bundle else None
        return opened(bundle, stamp(config) if config and config.exists() else None)

    return opener


def changes_in(dirs: Sequence[Path], library: str) -> Iterator[Collection[str]]:
    """The paths that changed in the last moment, twice a second; mostly none.

    Args:
      library: the file that is written to by indexing itself.
    """
    from watchfiles import watch

    def is_meant(_: object, name: str) -> bool:
        return not (os.path.basename(name).startswith(".") or name.startswith(library))

    folders = [placed(folder) for folder in dirs]
    try:
        for changes in watch(
            *folders,
            watch_filter=is_meant,
            rust_timeout=_TICK_MS,
            debounce=_TICK_MS,
            yield_on_timeout=True,
        ):
            yield {name for _, name in changes}
    except OSError as error:
        named = ", ".join(map(str, folders))
        raise LibraryError(
            f"{named}: expected folders that can be watched, found: {error}",
            "name folders that exist, or index without --watch",
        ) from error


def quiet_moments(
    changes: Iterable[Collection[str]], clock: Callable[[], float] = time.monotonic
) -> Iterator[frozenset[str]]:
    """Whenever a change has come to rest, the paths that have not yet."""
    changed_at: dict[str, float] = {}
    for paths in changes:
        now = clock()
        changed_at |= dict.fromkeys(paths, now)
        busy = {
            name: then
            for name, then in changed_at.items()
            if now - then < QUIET_SECONDS
        }
        if len(busy) < len(changed_at):
            changed_at = busy
            yield frozenset(busy)
