"""Files that the library knows from another place, told by their stamps alone.

A renamed file keeps its inode, size and date, and so does a further hard link. Where
that leaves a doubt, the file is read and known by its content instead.
"""

import json
import os

from lorajax.formats.scan import lora_name
from lorajax.library.entry import FileStamp, Place
from lorajax.library.indexing.listing import Candidate
from lorajax.library.indexing.run import Known, Run
from lorajax.library.store.file_store import read_told

# Archives and downloads date files by whole seconds, which many files share.
_SECOND = 10**9


def follow_files(run: Run, files: list[Candidate]) -> None:
    """Points new paths to the LoRAs that are known to be there, unread."""
    run.changed = {str(file.path) for file in files if _has_changed(run, file)}
    twins: dict[FileStamp, list[str]] = {}
    for path, known in run.known.items():
        twins.setdefault(known.stamp, []).append(path)
    with run.library.transaction():
        for file in files:
            if str(file.path) not in run.known and file.stamp in twins:
                _follow(run, file, [p for p in twins[file.stamp] if p in run.known])


def _has_changed(run: Run, file: Candidate) -> bool:
    known = run.known.get(str(file.path))
    return known is not None and known.stamp != file.stamp


def _follow(run: Run, file: Candidate, twins: list[str]) -> None:
    """Points a path to its one LoRA, if it is surely that of these known paths."""
    gone = [path for path in twins if run.has_left(path)]
    there = [path for path in twins if path not in gone]
    keys = {run.known[path].key for path in twins}
    configs = {run.known[path].config for path in twins}
    linked = any(_is_one_file(file, path) for path in there)
    dated = bool(file.stamp.mtime_ns % _SECOND)
    renamed = bool(gone) and not there and dated
    if not file.stamp.inode or len(keys) != 1 or configs != {file.config}:
        return
    if linked or renamed:
        _point(run, file, (there or gone)[0], gone)


def _is_one_file(file: Candidate, path: str) -> bool:
    try:
        return os.path.samefile(file.path, path)
    except OSError:
        return False


def _point(run: Run, file: Candidate, source: str, gone: list[str]) -> None:
    """Writes the path with what is kept of another of the same file."""
    library, known = run.library, run.known[source]
    rows = library.query(
        "SELECT header, told, tags FROM paths WHERE path = ? AND key = ?",
        *(source, known.key),
    )
    if not rows:  # another process has moved or forgotten it: the file will be read
        return
    ((header, told, tags),) = rows
    kept = Known(file.stamp, known.key, file.config, known.beside)
    words = (header, read_told(told), *kept[2:], tuple(json.loads(tags)))
    place = Place(file.path, file.stamp, *words)
    moved = run.paths_of[known.key] <= set(gone)
    if moved:
        library.execute(
            "UPDATE loras SET name = ? WHERE key = ?", lora_name(file.path), known.key
        )
    library.add_place(known.key, place)
    library.drop_paths(gone)
    run.put(str(file.path), kept)
    for path in gone:
        run.forget(path)
    run.followed.add(str(file.path))
    run.counts["moved" if moved else "copies"] += 1
