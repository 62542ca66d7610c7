"""One indexing run: what the library knew when it began, and what was found since."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from lorajax.errors import LibraryError, LorajaxError
from lorajax.library.entry import FileStamp, Refusal
from lorajax.library.indexing.description import Describe, Embedder
from lorajax.library.indexing.listing import Candidate, is_gone
from lorajax.library.store import Library
from lorajax.version import __version__

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What an indexing run found.

    Attributes:
      added: LoRAs that the library did not know.
      updated: known paths that hold another LoRA now.
      unchanged: files that did not have to be read.
      moved: known LoRAs whose file lies elsewhere now.
      copies: further files of a LoRA that is already in the library.
      reread: known files that were read only for their vector.
      retold: known files of which a sidecar or preview changed: words alone were read.
      missing: known files under the indexed folders that are not there any more.
      vanished: files that were there when the folders were listed, and not when they
        were to be read.
      embedded: vectors written; `spaces` those they belong to.
      unembedded: present LoRAs of the same base models that have no vector in these
        spaces, because they lie in other folders: they cannot be found there.
      notes: what a person should know beside the counts, a line each.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    moved: int = 0
    copies: int = 0
    reread: int = 0
    retold: int = 0
    missing: int = 0
    vanished: int = 0
    refused: tuple[Refusal, ...] = ()
    spaces: tuple[str, ...] = ()
    embedded: int = 0
    unembedded: int = 0
    notes: tuple[str, ...] = ()

    @property
    def has_news(self) -> bool:
        """Whether anything was written because of what was found."""
        news = (self.added, self.updated, self.moved, self.copies, self.reread)
        return any((*news, self.retold, self.embedded, self.vanished))


class Known(NamedTuple):
    """What the library keeps of a path, to compare with what is there now."""

    stamp: FileStamp
    key: str
    config: str
    beside: str


class Refused(NamedTuple):
    """A file that could not be used; another lorajax may be able to."""

    stamp: FileStamp
    config: str
    version: str
    refusal: Refusal


@dataclass
class Run:
    """The state of one indexing run.

    Attributes:
      known: path → what is kept of it; `refused_before` likewise.
      tiers: content key → tier and base model.
      outdated: content keys whose entries hold less than is kept today.
      paths_of: content key → its paths.
      changed: known paths that hold another file now, which was not read yet: what the
        library keeps of them is not there any more.
      followed: paths that were recognised as a file known elsewhere.
      spaces: base model → the space that this run embeds it in.
    """

    library: Library
    describe: Describe
    embedder: Embedder
    again: bool
    known: dict[str, Known]
    refused_before: dict[str, Refused]
    tiers: dict[str, tuple[str, str]]
    outdated: set[str]
    paths_of: dict[str, set[str]] = field(default_factory=dict)
    embedded_in: dict[str, set[str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    refused: list[Refusal] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)
    followed: set[str] = field(default_factory=set)
    vanished: list[str] = field(default_factory=list)
    spaces: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def embedded(self, space: str) -> set[str]:
        """The content keys that have a vector in a space, kept up to date."""
        if space not in self.embedded_in:
            self.embedded_in[space] = self.library.keys_in(space)
        return self.embedded_in[space]

    def put(self, path: str, known: Known) -> None:
        """Notes that a LoRA lies at a path now."""
        before = self.known.get(path)
        if before is not None and before.key != known.key:
            self.forget(path)
        self.known[path] = known
        self.changed.discard(path)
        self.paths_of.setdefault(known.key, set()).add(path)

    def forget(self, path: str) -> None:
        """Notes that nothing known lies at a path; its LoRA may turn up elsewhere."""
        before = self.known.pop(path, None)
        self.changed.discard(path)
        if before is not None:
            self.paths_of[before.key].discard(path)

    def lose(self, key: str) -> None:
        """Notes that another process has removed a LoRA, its paths and vectors."""
        self.tiers.pop(key, None)
        for path in self.paths_of.pop(key, ()):
            self.known.pop(path, None)
            self.changed.discard(path)
        for keys in self.embedded_in.values():
            keys.discard(key)

    def has_left(self, path: str) -> bool:
        """Whether what is known of a path is surely not there any more."""
        return path in self.changed or is_gone(path)


def begin(library: Library, describe: Describe, embedder: Embedder, again: bool) -> Run:
    """A run that knows what the library knows."""
    rows = library.query(
        "SELECT path, size, mtime_ns, inode, key, config, beside FROM paths"
    )
    known = {row[0]: Known(FileStamp(*row[1:4]), *row[4:]) for row in rows}
    rows = library.query(
        "SELECT path, size, mtime_ns, inode, config, version, reason, hint FROM refused"
    )
    refused = {
        path: Refused(FileStamp(*stamp), *kept, Refusal(path, reason, hint))
        for path, *stamp, config, version, reason, hint in rows
        for kept in [(config, version)]
    }
    run = Run(
        *(library, describe, embedder, again, known, refused),
        *(library.tiers(), library.outdated()),
    )
    for path, (_, key, *_rest) in known.items():
        run.paths_of.setdefault(key, set()).add(path)
    return run


def is_refused_still(run: Run, file: Candidate) -> bool:
    """Whether a file was refused as it is, by this lorajax."""
    before = run.refused_before.get(str(file.path))
    now = (file.stamp, file.config, __version__)
    return not run.again and before is not None and before[:3] == now


def attempt(
    run: Run, file: Candidate, work: Callable[[Path], _Result]
) -> _Result | None:
    """What reading a file gives, or None: a bad one is reported and stops no other.

    Raises:
      LibraryError: where it is the library that failed, not the file.
    """
    try:
        return work(file.path)
    except LibraryError:
        raise
    except (LorajaxError, OSError) as error:
        _set_aside(run, file, error)
    except Exception as error:
        logging.getLogger(__name__).exception("%s: a fault of lorajax", file.path)
        reason = f"{file.path.name}: could not be read: {type(error).__name__}"
        hint = "please report it, with the file"
        run.refused.append(Refusal(str(file.path), reason, hint))
    return None


def _set_aside(run: Run, file: Candidate, error: LorajaxError | OSError) -> None:
    """A refusal, unless the file has gone; one that a disk caused is not kept."""
    if is_gone(file.path):
        run.vanished.append(str(file.path))
    elif isinstance(error, LorajaxError):
        refusal = Refusal(str(file.path), error.message, error.hint)
        run.refused.append(refusal)
        if not isinstance(error.__cause__, OSError):
            run.library.refuse(refusal, file.stamp, file.config)
            run.forget(str(file.path))
    else:
        reason = f"{file.path.name}: the file cannot be read ({error.strerror})"
        hint = "check that it is there and readable"
        run.refused.append(Refusal(str(file.path), reason, hint))
