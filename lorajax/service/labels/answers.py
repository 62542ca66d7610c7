"""Answers of people to comparisons, each written at once, none lost, any taken back.

They are kept as JSON Lines `{"anchor", "positive", "negative"}` of LoRA names, the
format that training and evaluation read; skipped comparisons lie in a file beside it.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorajax.errors import LibraryError

Names = tuple[str, str, str]
ROLES = ("anchor", "positive", "negative")


@dataclass(frozen=True)
class Answers:
    """What one file holds.

    Attributes:
      triplets: (anchor, positive, negative) of every answer.
      skipped: (anchor, candidate, candidate) of what was passed over.
    """

    file: Path
    triplets: tuple[Names, ...]
    skipped: tuple[Names, ...]

    @property
    def asked(self) -> set[frozenset[str]]:
        """The identities of all comparisons that need not be asked again."""
        return {identity(*names) for names in (*self.triplets, *self.skipped)}


def identity(anchor: str, one: str, other: str) -> frozenset[str]:
    """What a comparison asks, whichever candidate stands on the left."""
    return frozenset({f"anchor {anchor}", f"candidate {one}", f"candidate {other}"})


def skipped_file(file: Path) -> Path:
    """Where skipped comparisons are kept; its ending is not that of triplets."""
    return file.with_suffix(".skipped")


def read_answers(file: Path) -> Answers:
    """The answers in a file; none where it is not there.

    Raises:
      LibraryError: for a line that is no triplet, or a file that cannot be read.
    """
    skips = skipped_file(file)
    return Answers(file, tuple(_read_lines(file)), tuple(_read_lines(skips)))


def write_answer(file: Path, anchor: str, positive: str, negative: str) -> None:
    """Adds an answer; it is on the disk when this returns.

    Raises:
      LibraryError: where it was answered already, or cannot be written.
    """
    _check_open(file, anchor, positive, negative)
    _append(file, anchor, positive, negative)


def write_skip(file: Path, anchor: str, one: str, other: str) -> None:
    """Adds a comparison that was passed over.

    Raises:
      LibraryError: where it was answered already, or cannot be written.
    """
    _check_open(file, anchor, one, other)
    _append(skipped_file(file), anchor, one, other)


def take_back(file: Path, asked: frozenset[str]) -> None:
    """Removes the answer to a comparison, or its having been skipped.

    Raises:
      LibraryError: where it was neither, or cannot be written.
    """
    for path in (file, skipped_file(file)):
        lines = list(_read_lines(path))
        kept = [names for names in lines if identity(*names) != asked]
        if len(kept) < len(lines):
            return _write(path, kept)
    raise LibraryError(f"{file}: nothing to take back, this was not answered")


def _check_open(file: Path, *names: str) -> None:
    """Refuses a comparison that has an answer, whichever way it was given."""
    for anchor, positive, negative in _read_lines(file):
        if identity(anchor, positive, negative) == identity(*names):
            raise LibraryError(
                f"{file}: expected a comparison without an answer, found that "
                f"{positive} is more like {anchor} than {negative}",
                "take it back first: lorajax triplets undo ANCHOR NAME NAME",
            )


def _read_lines(file: Path) -> Iterator[Names]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise LibraryError(f"{file}: cannot be read: {error}") from error
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
            anchor, *others = (document[role] for role in ROLES)
            yield str(anchor), str(others[0]), str(others[1])
        except (ValueError, KeyError, TypeError) as error:
            raise LibraryError(
                f'{file}, line {number}: expected {{"anchor", "positive", "negative"}}',
                "name another file for the answers, or mend this line",
            ) from error


def _line(anchor: str, positive: str, negative: str) -> str:
    document = dict(zip(ROLES, (anchor, positive, negative), strict=True))
    return json.dumps(document, ensure_ascii=False) + "\n"


def _append(file: Path, *names: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8", newline="\n") as stream:
            stream.write(_line(*names))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise LibraryError(f"{file}: cannot be written: {error}") from error


def _write(file: Path, lines: Sequence[Names]) -> None:
    """Replaces a file atomically."""
    temporary = file.with_name(file.name + ".tmp")
    try:
        temporary.write_text("".join(_line(*names) for names in lines), "utf-8")
        os.replace(temporary, file)
    except OSError as error:
        raise LibraryError(f"{file}: cannot be written: {error}") from error
