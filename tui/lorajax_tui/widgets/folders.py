"""Folders that a person types or picks; disks may be slow, away, or a stranger's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from rich.text import Text, TextType
from textual.suggester import Suggester
from textual.widgets import DirectoryTree

from lorajax_tui.words import safe


def typed_path(words: str) -> Path:
    """The path that a person means; `~who` stays as it is where nobody is called so."""
    path = Path(words.strip())
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def is_folder(path: Path) -> bool:
    """Whether it is there, is a folder, and can be asked; may take its time."""
    try:
        return path.is_dir()
    except OSError:  # a disk that is away, or a name that no disk can hold
        return False


def nearest_folder(folder: Path) -> Path:
    """The first folder above one that is there; the home folder without any."""
    return next(filter(is_folder, folder.parents), Path.home())


class FolderSuggester(Suggester):
    """Completes the path of a folder; → takes the suggestion."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._newest = ""
        self._looking = asyncio.Lock()  # a disk that hangs holds one thread, not all

    async def get_suggestion(self, value: str) -> str | None:
        self._newest = value
        async with self._looking:
            if value == self._newest:
                return await asyncio.to_thread(completed, value)
        return None


def completed(words: str) -> str | None:
    """What is typed of a folder's path, with the rest of the first that fits."""
    typed = typed_path(words)
    parent, part = (typed, "") if words.endswith("/") else (typed.parent, typed.name)
    try:
        found = sorted(
            folder.name
            for folder in parent.iterdir()
            if folder.name.startswith(part)
            and (part or not folder.name.startswith("."))
            and _is_typeable(folder.name)
            and is_folder(folder)
        )
    except OSError:
        return None
    return words + found[0][len(part) :] if found else None


class Folders(DirectoryTree):
    """The folders of a disk, without their files."""

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        return (p for p in paths if not p.name.startswith(".") and is_folder(p))

    def process_label(self, label: TextType) -> Text:
        return Text(safe(str(label)))

    def picked(self) -> str | None:
        """The path under the cursor, None where no line can hold it as it is."""
        node = self.cursor_node
        path = str(node.data.path) if node is not None and node.data else ""
        return path if path and _is_typeable(path) else None


def _is_typeable(text: str) -> bool:
    return safe(text, len(text)) == text
