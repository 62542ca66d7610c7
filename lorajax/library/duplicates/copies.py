"""Levels 1 and 2: files of the same bytes, and files of the same weights.

Both are told by hashes that the library has: the content key names the weights and
what they mean, together with the header's hash the bytes. A hard link or a symbolic
link is the same file once more, which frees nothing and is no duplicate.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from lorajax.library.duplicates.found import Action, Copy, Group, Kind, Member
from lorajax.library.entry import FileStamp, stamp
from lorajax.library.store import Library

_COLUMNS = "key, path, header, size, mtime_ns, inode, missing, told"
SAME_FILE = "the oldest is kept, then the shortest path: their bytes are the same"
SAME_WEIGHTS = (
    "the one that tells most of itself is kept, then the oldest: only what they say of "
    "themselves differs"
)


def read_copies(library: Library) -> tuple[dict[str, list[Copy]], list[str]]:
    """Content key → its files, and the paths whose file changed since it was indexed.

    Only where a LoRA has several paths are they looked at on disk.
    """
    rows = library.query(f"SELECT {_COLUMNS} FROM paths ORDER BY key, missing, path")
    copies: dict[str, list[Copy]] = {}
    changed: list[str] = []
    for key, group in groupby(rows, key=lambda row: row[0]):
        found = [(_copy(row), FileStamp(*row[3:6])) for row in group]
        if len(found) == 1:
            copies[key] = [found[0][0]]
        else:
            copies[key] = _distinct(found, changed)
    return copies, changed


def _copy(row: tuple) -> Copy:
    key, path, header, size, mtime_ns, _, missing, told = row
    filled = sum(bool(value) for value in json.loads(told).values())
    return Copy(path, key, header, size, mtime_ns, filled, missing=bool(missing))


def _distinct(
    found: Iterable[tuple[Copy, FileStamp]], changed: list[str]
) -> list[Copy]:
    """The files behind several paths, links of one file brought together."""
    files: dict[tuple[object, ...], Copy] = {}
    for copy, known in found:
        identity: tuple[object, ...] = ("missing", copy.path)
        try:
            if not copy.missing:
                if _has_changed(copy.path, known):
                    changed.append(copy.path)
                    continue
                identity = _identity(copy.path)
        except OSError:
            copy = replace(copy, missing=True)
        if first := files.get(identity):
            files[identity] = replace(first, links=(*first.links, copy.path))
        else:
            files[identity] = copy
    return list(files.values())


def _has_changed(path: str, known: FileStamp) -> bool:
    """Whether a file was written since it was indexed."""
    now = stamp(Path(path))
    return (now.size, now.mtime_ns) != (known.size, known.mtime_ns)


def _identity(path: str) -> tuple[object, ...]:
    """What all links of one file share; some disks number no files."""
    found = os.stat(path)
    if found.st_ino:
        return found.st_dev, found.st_ino
    return (os.path.realpath(path),)


def oldest(copies: Iterable[Copy]) -> list[Copy]:
    """Present files first, then by age and by length of their path."""
    return sorted(copies, key=lambda c: (c.missing, c.mtime_ns, len(c.path), c.path))


def fullest(copies: Iterable[Copy]) -> list[Copy]:
    """Present files first, then by how much they tell of themselves, then by age."""
    return sorted(copies, key=lambda c: (c.missing, -c.told, -c.size, c.mtime_ns))


def standing_for(copies: Sequence[Copy]) -> Copy:
    """The file that is kept of all those with the same weights."""
    return fullest(group[0] for group in _by_bytes(copies))[0]


def _by_bytes(copies: Iterable[Copy]) -> list[list[Copy]]:
    """Files of the same bytes together; of an unknown header each is alone."""
    groups: dict[str, list[Copy]] = {}
    for copy in copies:
        groups.setdefault(copy.header or copy.path, []).append(copy)
    return [oldest(group) for group in groups.values()]


def same_files(
    copies: Mapping[str, Sequence[Copy]], names: Mapping[str, tuple[str, str]]
) -> list[Group]:
    """The groups of levels 1 and 2.

    Args:
      names: content key → (name, base model).
    """
    groups: list[Group] = []
    for key, files in copies.items():
        present = [copy for copy in files if not copy.missing]
        if len(present) < 2:
            continue
        name, base_model = names[key]
        by_bytes = _by_bytes(present)
        for same in by_bytes:
            if len(same) > 1:
                words = f"the same {same[0].size:,} bytes"
                members = _members(same, name, words)
                groups.append(Group(Kind.FILE, base_model, members, SAME_FILE))
        if len(by_bytes) > 1:
            ordered = fullest(group[0] for group in by_bytes)
            members = _members(ordered, name, "the same weights, another header")
            groups.append(Group(Kind.WEIGHTS, base_model, members, SAME_WEIGHTS))
    return groups


def _members(copies: Sequence[Copy], name: str, words: str) -> tuple[Member, ...]:
    first, *others = copies
    kept = _member(first, name, Action.KEEP, "kept")
    return (kept, *(_member(c, name, Action.REDUNDANT, words) for c in others))


def _member(copy: Copy, name: str, action: Action, evidence: str) -> Member:
    place = (copy.path, copy.key, name, copy.size)
    return Member(*place, action, evidence, links=copy.links, missing=copy.missing)
