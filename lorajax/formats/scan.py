"""Folders → the files that may be LoRAs, and what was refused on the way.

Nothing is opened here: a file is a candidate by its name alone.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lorajax.errors import FormatError
from lorajax.formats.refusals import PICKLES, READABLE, refuse_pickle, refuse_suffix
from lorajax.formats.text import clean, shown

# PEFT and diffusers give every file the same name; there the folder says which it is.
_SURROGATES = re.compile("[\ud800-\udfff]")
_GENERIC = re.compile(r"(?:adapter_model|pytorch_lora_weights)(?:[-_.].*)?")


@dataclass(frozen=True)
class Refusal:
    """A file that was passed over: where, why, and what to do about it."""

    path: Path
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Scan:
    """Candidates in the order of their paths, and refusals with their reasons.

    Attributes:
      unlisted: folders that could not be listed, or not be found.
    """

    files: tuple[Path, ...]
    refused: tuple[Refusal, ...]
    unlisted: tuple[Path, ...] = ()


def lora_name(path: str | Path) -> str:
    """What a LoRA is called: its file's stem, or its folder where all stems are equal.

    >>> lora_name("styles/ukiyo-e.safetensors")
    'ukiyo-e'
    >>> lora_name("adapters/legal/adapter_model.safetensors")
    'legal'
    """
    path = Path(path)
    generic = _GENERIC.fullmatch(path.stem)
    folder = path.parent.name or path.absolute().parent.name
    return clean(folder if generic and folder else path.stem)


def scan(paths: Iterable[str | Path]) -> Scan:
    """Every LoRA candidate in these files and folders, each file once.

    Folders are walked to the bottom; hidden folders are skipped, a link that leads
    back is followed once. Pictures, texts and the like are passed over in silence
    inside a folder and refused when named themselves.
    """
    found: list[Path] = []
    refused: list[Refusal] = []
    unlisted: list[Path] = []
    for path in map(Path, paths):
        if _SURROGATES.search(str(path)):
            refused.append(_not_text(path))
        elif os.path.isdir(path):
            _scan_folder(path, found, refused, unlisted)
        elif not os.path.exists(path):
            refused.append(Refusal(path, f"{shown(path)}: no such file or folder"))
            unlisted.append(path)
        elif path.suffix.lower() in READABLE:
            found.append(path)
        else:
            refused.append(_refusal(path, refuse_suffix(path)))
    return Scan(tuple(_each_once(found)), tuple(refused), tuple(unlisted))


def _scan_folder(
    folder: Path, found: list[Path], refused: list[Refusal], unlisted: list[Path]
) -> None:
    before = len(found) + len(refused)
    for path in sorted(_walk(folder, refused, unlisted)):
        suffix = path.suffix.lower()
        if suffix in READABLE:
            found.append(path)
        elif suffix in PICKLES:
            refused.append(_refusal(path, refuse_pickle(path)))
    if len(found) + len(refused) == before:
        refused.append(
            Refusal(
                folder,
                f"{shown(folder)}: expected LoRA files (.safetensors), found none",
                "name the folder that holds the files",
            )
        )


def _walk(folder: Path, refused: list[Refusal], unlisted: list[Path]) -> Iterator[Path]:
    """All files below, hidden ones excepted; a folder already seen is not entered."""
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        try:
            status = folder.stat()
            entries = list(os.scandir(folder))
        except OSError as error:
            refused.append(_unlisted(folder, error))
            unlisted.append(folder)
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = Path(entry.path)
            try:
                is_folder, is_file = entry.is_dir(), entry.is_file()
            except OSError as error:  # a link that leads to itself
                refused.append(_unlisted(path, error))
                continue
            meant = is_folder or path.suffix.lower() in READABLE | PICKLES
            if meant and _SURROGATES.search(entry.name):
                refused.append(_not_text(path))
            elif is_folder:
                waiting.append(path)
            elif is_file:
                yield path


def _not_text(path: Path) -> Refusal:
    """A name that no text can hold: the refusal's path is only near to it."""
    near = Path(_SURROGATES.sub("\ufffd", str(path)))
    return Refusal(
        near,
        f"{shown(near)}: expected a name in UTF-8, found other bytes",
        "rename it",
    )


def _unlisted(folder: Path, error: OSError) -> Refusal:
    reason = clean(error.strerror or type(error).__name__, 80)
    return Refusal(folder, f"{shown(folder)}: cannot be listed: {reason}")


def _each_once(paths: Iterable[Path]) -> list[Path]:
    """The files by path, each (device, inode) once; a real file goes before a link."""
    chosen: dict[tuple[int, int], Path] = {}
    for path in sorted(set(paths), key=lambda path: (path.is_symlink(), path)):
        with contextlib.suppress(OSError):  # gone since it was listed
            status = path.stat()
            chosen.setdefault((status.st_dev, status.st_ino), path)
    return sorted(chosen.values())


def _refusal(path: Path, error: FormatError) -> Refusal:
    return Refusal(path, error.message, error.hint)
