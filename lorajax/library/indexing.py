"""Bringing a library up to date with the files on disk.

Receives files, a way to describe one and a way to embed one; hands out an
`IndexReport`. A file whose stamp is known, and whose LoRA has its vector, is not read
again. Every file is committed by itself: an interrupted run loses nothing that it
reported, and the next one goes on where it stopped. A bad file never stops the rest.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from lorajax.errors import LorajaxError, ProjectionError
from lorajax.library.entry import (
    EMBEDDABLE_TIERS,
    Facts,
    FileStamp,
    Place,
    Refusal,
    Told,
    placed,
    stamp,
)
from lorajax.library.spaces import sketch_space
from lorajax.library.store import Library

OnFile = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Description:
    """One file, read: its content key, its facts, and the update to embed.

    Attributes:
      header: BLAKE3 of the file's header.
      sketch: the small image of the whole update that duplicates are told by.
    """

    key: str
    facts: Facts
    adapter: Any
    header: str = ""
    told: Told = field(default_factory=Told)
    sketch: Float[np.ndarray, " s"] | None = None


@runtime_checkable
class Describe(Protocol):
    """Reads a file; raises LorajaxError where it cannot be used."""

    def __call__(self, path: Path) -> Description: ...


@runtime_checkable
class Embedder(Protocol):
    """Turns an update into its vector, in one space per base model."""

    def space(self, base_model: str) -> str: ...

    def embed(self, adapter: Any) -> Float[np.ndarray, " e"]: ...


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
      missing: known files under the indexed folders that are not there any more.
      embedded: vectors written; `spaces` those they belong to.
      unembedded: present LoRAs of the same base models that have no vector in these
        spaces, because they lie in other folders: they cannot be found there.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    moved: int = 0
    copies: int = 0
    reread: int = 0
    missing: int = 0
    refused: tuple[Refusal, ...] = ()
    spaces: tuple[str, ...] = ()
    embedded: int = 0
    unembedded: int = 0


@dataclass
class _Run:
    """The state of one indexing run."""

    library: Library
    describe: Describe
    embedder: Embedder
    again: bool
    known: dict[str, tuple[FileStamp, str]]
    tiers: dict[str, tuple[str, str]]
    outdated: set[str]
    paths_of: dict[str, set[str]] = field(default_factory=dict)
    embedded_in: dict[str, set[str]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)
    spaces: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path, (_, key) in self.known.items():
            self.paths_of.setdefault(key, set()).add(path)

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def embedded(self, space: str) -> set[str]:
        """The content keys that have a vector in a space, kept up to date."""
        if space not in self.embedded_in:
            self.embedded_in[space] = self.library.keys_in(space)
        return self.embedded_in[space]


def index(
    library: Library,
    files: Sequence[Path],
    describe: Describe,
    embedder: Embedder,
    on_file: OnFile | None = None,
    roots: Sequence[Path] = (),
    again: bool = False,
) -> IndexReport:
    """Brings the library up to date with these files.

    Args:
      on_file: called before each file with (done, total, path).
      roots: folders that `files` is the whole content of; known files under them
        that are gone are marked as missing.
      again: embeds files even where their vector is known.
    """
    run = _Run(
        *(library, describe, embedder, again),
        *(library.stamps(), library.tiers(), library.outdated()),
    )
    present: list[str] = []
    for done, path in enumerate(files):
        if on_file is not None:
            on_file(done, len(files), str(path))
        if _index_file(run, placed(path)):
            present.append(str(placed(path)))
    library.mark_present(path for path in present if path in run.known)
    missing = _missing(run, roots)
    library.mark_missing(missing)
    spaces = run.spaces.items()
    unembedded = sum(library.switch_space(base, space) for base, space in spaces)
    if on_file is not None:
        on_file(len(files), len(files), "")
    return IndexReport(
        **run.counts,
        missing=len(missing),
        refused=tuple(run.refused),
        spaces=tuple(sorted(run.spaces.values())),
        unembedded=unembedded,
    )


def _index_file(run: _Run, path: Path) -> bool:
    """Indexes one file; returns whether it is there and of use."""
    try:
        now = stamp(path)
        if _is_known(run, path, now):
            run.count("unchanged")
            return True
        _store(run, path, now, run.describe(path))
        return True
    except LorajaxError as error:
        refusal = Refusal(str(path), error.message, error.hint)
        run.library.refuse(refusal)
    except OSError as error:
        reason = f"{path.name}: the file cannot be read ({error.strerror})"
        refusal = Refusal(str(path), reason, "check that it is there and readable")
    except Exception as error:
        logging.getLogger(__name__).exception("%s: a fault of lorajax", path)
        reason = f"{path.name}: could not be read: {type(error).__name__}"
        refusal = Refusal(str(path), reason, "please report it, with the file")
    run.refused.append(refusal)
    return False


def _is_known(run: _Run, path: Path, now: FileStamp) -> bool:
    """Whether nothing about this file has to be read."""
    before, key = run.known.get(str(path), (None, ""))
    if before != now or key not in run.tiers or key in run.outdated:
        return False
    tier, base_model = run.tiers[key]
    if tier not in EMBEDDABLE_TIERS:
        return True
    space = run.embedder.space(base_model)
    run.spaces[base_model] = space
    return not run.again and key in run.embedded(space)


def _store(run: _Run, path: Path, now: FileStamp, found: Description) -> None:
    """Writes one described file, embedding it where its vector is not known yet."""
    space, vector = _embed(run, found)
    vectors = {} if vector is None else {space: vector}
    kind, gone = _classify(run, path, found.key)
    place = Place(path, now, found.header, found.told)
    if kind == "copies" and vector is None and found.key not in run.outdated:
        run.library.add_place(found.key, place)
    else:
        if found.sketch is not None:
            vectors[sketch_space(found.facts.base_model)] = found.sketch
        run.library.upsert(found.key, found.facts, place, vectors)
    run.outdated.discard(found.key)
    if gone:
        run.library.drop_paths(gone)
        run.paths_of[found.key].difference_update(gone)
        for other in gone:
            del run.known[other]
    run.count(kind)
    if vector is not None:
        run.count("embedded")
        run.embedded(space).add(found.key)
    run.known[str(path)] = (now, found.key)
    run.paths_of.setdefault(found.key, set()).add(str(path))
    run.tiers[found.key] = (found.facts.tier, found.facts.base_model)


def _embed(run: _Run, found: Description) -> tuple[str, Float[np.ndarray, " e"] | None]:
    """The space of a file and its vector, None where there is none to write."""
    base_model = found.facts.base_model
    if found.facts.tier not in EMBEDDABLE_TIERS:
        return "", None
    space = run.embedder.space(base_model)
    if run.library.current_space(base_model) is None:
        run.library.set_current_space(base_model, space)
    run.spaces[base_model] = space
    if found.key in run.embedded(space) and not run.again:
        return space, None
    vector = np.asarray(run.embedder.embed(found.adapter))
    if not np.isfinite(vector).all():
        raise ProjectionError(
            f"{found.facts.name}: expected a vector of numbers, found NaN or Inf",
            "the weights are too large or too small to embed",
        )
    return space, vector


def _classify(run: _Run, path: Path, key: str) -> tuple[str, list[str]]:
    """What a described file is to the library, and paths that it replaces."""
    _, before = run.known.get(str(path), (None, ""))
    if before == key:
        return "reread", []
    if key in run.tiers:
        others = run.paths_of.get(key, set())
        gone = [other for other in others if not Path(other).exists()]
        return ("moved", gone) if len(gone) == len(others) else ("copies", gone)
    return ("updated" if before else "added"), []


def _missing(run: _Run, roots: Iterable[Path]) -> list[str]:
    """Known files under the indexed folders that are not on disk."""
    folders = [placed(root) for root in roots]
    return [
        path
        for path in run.known
        if any(Path(path).is_relative_to(folder) for folder in folders)
        and not Path(path).exists()
    ]
