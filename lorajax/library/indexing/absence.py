"""Files that the library knows and the disk does not show any more.

A folder that cannot be listed says nothing about its files, and neither does an empty
one in which many are known: that is what an unplugged disk leaves behind.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from lorajax.library.entry import placed
from lorajax.library.indexing.listing import is_gone, is_under
from lorajax.library.indexing.run import Run

_LOST = "SELECT path FROM paths WHERE missing"


def mark_absent(
    run: Run, seen: Iterable[Path], roots: Sequence[Path], unlisted: Sequence[Path]
) -> int:
    """Marks known files as present or missing; returns how many are missing.

    Args:
      seen: the files that were found.
      roots: folders of which they are the whole content.
      unlisted: folders that could not be listed.
    """
    library, found = run.library, set(map(str, seen))
    silent = [str(placed(folder)) for folder in unlisted]
    for root in map(placed, roots):
        count = sum(is_under(path, [str(root)]) for path in run.known)
        if count and _is_empty(root):
            run.notes.append(_unplugged(root, count))
            silent.append(str(root))
    judged = [str(placed(root)) for root in roots]

    def is_absent(path: str) -> bool:
        searched = path not in found and is_under(path, judged)
        return searched and not is_under(path, silent) and is_gone(path)

    missing = list(filter(is_absent, run.known))
    with library.transaction():
        lost = {path for (path,) in library.query(_LOST)}
        library.mark_present(found & lost)
        library.mark_missing(set(missing) - lost)
        waiting = (str(file.path) for file in library.waiting())
        library.stop_waiting(filter(is_absent, waiting))
        library.forget_refused(filter(is_absent, run.refused_before))
    return len(missing)


def _is_empty(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return True


def _unplugged(root: Path, count: int) -> str:
    return (
        f"{root}: expected {count} known files, found an empty or unreachable folder; "
        "they stay as they were (deleted for good? `lorajax library forget-missing "
        f"{root}`)"
    )
