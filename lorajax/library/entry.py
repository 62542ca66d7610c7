"""What the library knows about one LoRA and about one file."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lorajax.formats.peft_config import WEIGHTS_NAME

EMBEDDABLE_TIERS = frozenset({"exact", "direction"})
# SQLite's; file numbers of Windows and dates that a disk makes up may be larger.
_LARGEST_INTEGER = 2**63 - 1
# The source of labels that nothing but a person knows.
PERSON = "person"
# The source of labels that files and what lies beside them give, and the fields of it
# that follow from tags and declared base models; notes and favourites do not.
SIDECAR, DERIVED = "sidecar", ("tag", "category", "base_variant")
# What is kept of a file; entries of an older description are read once more.
DESCRIPTION = 1


class FileStamp(NamedTuple):
    """What tells, without reading a file, that it is still the same file."""

    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What is true of a LoRA's weights, wherever its file lies.

    Attributes:
      unmapped: modules with an update that the base model's table does not hold.
      dead: mapped modules whose update is zero.
      norm: the Frobenius norm of the whole update; None where it is not known without
        the base model's weights.
      fingerprint: of the update, as `lorajax.adapters.fingerprint` writes it; "" where
        there is none.
    """

    name: str
    base_model: str
    family: str = "lora"
    format: str = "unknown"
    tier: str = "exact"
    dtype: str = "unknown"
    rank_min: int = 0
    rank_median: float = 0.0
    rank_max: int = 0
    modules_mapped: int = 0
    modules_total: int = 0
    unmapped: int = 0
    dead: int = 0
    norm: float | None = None
    fingerprint: str = ""
    warnings: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What one file and its sidecars say of a LoRA; nothing is computed with it.

    Attributes:
      base_model: as it is declared, which may be wrong.
      preview: name of the picture beside the file, "" where there is none.
      output_name: what the trainer called the run's files.
      session: what the trainer calls the run itself.
    """

    title: str = ""
    author: str = ""
    base_model: str = ""
    description: str = ""
    usage: str = ""
    trigger_words: tuple[str, ...] = ()
    preview: str = ""
    output_name: str = ""
    session: str = ""
    epoch: int | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One LoRA of the library.

    Attributes:
      key: its content key; files share it that hold the same update, metadata aside.
      paths: where it lies, the present ones first.
      missing: whether none of its paths exists any more.
      told: what is said of it where it lies first.
    """

    key: str
    facts: Facts
    paths: tuple[str, ...] = ()
    missing: bool = False
    told: Told = field(default_factory=Told)

    @property
    def name(self) -> str:
        return self.facts.name

    @property
    def path(self) -> str:
        return self.paths[0] if self.paths else ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that could not be read, with the reason in words."""

    path: str
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """One file of a LoRA.

    Attributes:
      header: BLAKE3 of the file's header; with the content key it names the file's
        bytes.
      config, beside: stamps of what lies beside it (`indexing.listing`).
      tags: those of this file; a LoRA has the tags of all its files.
    """

    path: Path
    stamp: FileStamp
    header: str = ""
    told: Told = field(default_factory=Told)
    config: str = ""
    beside: str = ""
    tags: tuple[str, ...] = ()


def placed(path: Path) -> Path:
    """An absolute path without `..`; links are kept as they are."""
    return Path(os.path.abspath(os.path.expanduser(path)))


def file_named(name: str | Path) -> Path | None:
    """The file of a path as a person gave it; None where there is none.

    PEFT calls a LoRA by its folder: that names the weights in it. No word is too odd to
    be asked: too long for a name, or `~` and nobody's name.
    """
    path = os.path.expanduser(name)
    paths = (path, os.path.join(path, WEIGHTS_NAME))
    return next((Path(one) for one in paths if os.path.isfile(one)), None)


def stamp(path: Path) -> FileStamp:
    """The stamp of a file as it is now."""
    found = os.stat(path)
    inode, mtime = found.st_ino, found.st_mtime_ns
    return FileStamp(found.st_size, mtime & _LARGEST_INTEGER, inode & _LARGEST_INTEGER)
