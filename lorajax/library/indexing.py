"""Bringing a library up to date with the files on disk.

Receives files, a way to describe one and a way to embed one; hands out an
`IndexReport`. First nothing but headers is read, so that new files are listed within
seconds; then every file is read, embedded and committed by itself: an interrupted run
loses nothing that it reported, and the next one goes on where it stopped. A file whose
stamp is known, and whose LoRA has its vector, is not read again. A bad file never
stops the rest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from lorajax.errors import ProjectionError
from lorajax.library.absence import mark_absent
from lorajax.library.description import (
    Describe,
    Description,
    Embedder,
    Glance,
    ReadWords,
)
from lorajax.library.entry import EMBEDDABLE_TIERS, Place, stamp
from lorajax.library.glancing import glance_at
from lorajax.library.index_run import (
    IndexReport,
    Known,
    Run,
    attempt,
    begin,
    is_refused_still,
)
from lorajax.library.listing import Candidate, is_gone, look_at
from lorajax.library.recognising import follow_files
from lorajax.library.retelling import retell
from lorajax.library.spaces import sketch_space
from lorajax.library.store import Library

HEADERS, WEIGHTS = "reading headers", "indexing"
_LONGEST_LIST = 3


@dataclass(frozen=True, slots=True)
class Step:
    """How far a stage has come: all files before the one in hand are committed.

    Attributes:
      bytes_done, bytes_total: of the files of this stage.
      refused: how many files of this run could not be used so far.
    """

    stage: str
    done: int
    total: int
    name: str
    bytes_done: int
    bytes_total: int
    refused: int


OnStep = Callable[[Step], None]


def index(
    library: Library,
    files: Sequence[Path],
    describe: Describe,
    embedder: Embedder,
    on_step: OnStep | None = None,
    roots: Sequence[Path] = (),
    again: bool = False,
    glance: Glance | None = None,
    words: ReadWords | None = None,
    unlisted: Sequence[Path] = (),
) -> IndexReport:
    """Brings the library up to date with these files.

    Args:
      on_step: called before each file of a stage, and at the stage's end.
      roots: folders that `files` is the whole content of; known files under them
        that are gone are marked as missing.
      again: reads and embeds files even where nothing changed.
      glance: reads headers, for the pass that lists new files at once.
      words: reads what sidecars say, where one changed beside a known file.
      unlisted: folders under the roots that could not be listed, and of which
        nothing is said therefore.

    Raises:
      LibraryError: where the library cannot be read or written.
    """
    run = begin(library, describe, embedder, again)
    found, vanished = look_at(files)
    run.vanished.extend(map(str, vanished))
    follow_files(run, found)
    known, new = _sorted_out(run, found)
    if glance is not None:
        tell = _teller(run, HEADERS, new, on_step)
        new = glance_at(run, new, glance, tell)
        tell(len(new), None)
    if words is not None:
        retell(run, known, words)
    tell = _teller(run, WEIGHTS, new, on_step)
    for done, file in enumerate(new):
        tell(done, file)
        _read(run, file)
    missing = mark_absent(run, [file.path for file in found], roots, unlisted)
    spaces = run.spaces.items()
    unembedded = sum(library.switch_space(base, space) for base, space in spaces)
    tell(len(new), None)
    return IndexReport(
        **run.counts,
        missing=missing,
        vanished=len(run.vanished),
        refused=tuple(run.refused),
        spaces=tuple(sorted(run.spaces.values())),
        unembedded=unembedded,
        notes=(*run.notes, *_of_vanished(run)),
    )


def _sorted_out(
    run: Run, files: list[Candidate]
) -> tuple[list[Candidate], list[Candidate]]:
    """Files of which nothing has to be read, and those to read; refused ones go."""
    known: list[Candidate] = []
    new: list[Candidate] = []
    for file in files:
        if is_refused_still(run, file):
            run.refused.append(run.refused_before[str(file.path)].refusal)
        elif _is_known(run, file):
            known.append(file)
            run.counts["unchanged"] += str(file.path) not in run.followed
        else:
            new.append(file)
    return known, new


def _is_known(run: Run, file: Candidate) -> bool:
    """Whether nothing of this file's weights has to be read."""
    before = run.known.get(str(file.path))
    if before is None or (before.stamp, before.config) != (file.stamp, file.config):
        return False
    if before.key not in run.tiers or before.key in run.outdated:
        return False
    tier, base_model = run.tiers[before.key]
    if tier not in EMBEDDABLE_TIERS:
        return True
    space = run.embedder.space(base_model)
    run.spaces[base_model] = space
    return not run.again and before.key in run.embedded(space)


def _teller(
    run: Run, stage: str, files: Sequence[Candidate], on_step: OnStep | None
) -> Callable[[int, Candidate | None], None]:
    """Tells of a stage over these files; of one without files, nothing."""
    total, size = len(files), sum(file.stamp.size for file in files)
    passed = 0

    def tell(done: int, file: Candidate | None) -> None:
        nonlocal passed
        if on_step is None or not total:
            return
        name, before = (file.path.name, passed) if file else ("", size)
        step = (total if file is None else done, total, name, before, size)
        on_step(Step(stage, *step, len(run.refused)))
        passed += file.stamp.size if file else 0

    return tell


def _read(run: Run, file: Candidate) -> None:
    """Reads, embeds and stores one file, as it is now."""

    def work(path: Path) -> None:
        now = replace(file, stamp=stamp(path))
        _store(run, now, run.describe(path))

    attempt(run, file, work)


def _store(run: Run, file: Candidate, found: Description) -> None:
    """Writes one described file, embedding it where its vector is not known yet."""
    space, vector = _embed(run, found)
    vectors = {} if vector is None else {space: vector}
    path = str(file.path)
    kind, gone = _classify(run, path, found.key)
    beside = (file.config, file.beside)
    place = Place(file.path, file.stamp, found.header, found.told, *beside)
    with run.library.transaction():
        if kind == "copies" and vector is None and found.key not in run.outdated:
            run.library.add_place(found.key, place)
        else:
            if found.sketch is not None:
                vectors[sketch_space(found.facts.base_model)] = found.sketch
            run.library.upsert(found.key, found.facts, place, vectors)
        run.library.drop_paths(gone)
    run.put(path, Known(file.stamp, found.key, *beside))
    for other in gone:
        run.forget(other)
    run.tiers[found.key] = (found.facts.tier, found.facts.base_model)
    run.outdated.discard(found.key)
    run.counts[kind] += path not in run.followed
    if vector is not None:
        run.counts["embedded"] += 1
        run.embedded(space).add(found.key)


def _embed(run: Run, found: Description) -> tuple[str, Float[np.ndarray, " e"] | None]:
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


def _classify(run: Run, path: str, key: str) -> tuple[str, list[str]]:
    """What a described file is to the library, and paths that it replaces."""
    before = run.known.get(path)
    if before is not None and before.key == key:
        return "reread", []
    if key in run.tiers:
        others = run.paths_of.get(key, set())
        gone = [other for other in others if is_gone(other)]
        return ("moved", gone) if len(gone) == len(others) else ("copies", gone)
    return ("updated" if before else "added"), []


def _of_vanished(run: Run) -> list[str]:
    count = len(run.vanished)
    names = ", ".join(Path(path).name for path in run.vanished[:_LONGEST_LIST])
    more = f" and {count - _LONGEST_LIST} more" if count > _LONGEST_LIST else ""
    files = "file" if count == 1 else "files"
    line = f"{count} {files} vanished before they could be read: {names}{more}"
    return [line] if count else []
