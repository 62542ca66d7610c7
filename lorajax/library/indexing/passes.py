"""The passes of an indexing run.

First nothing but headers is read, so that new files are listed within
seconds; then every file is read, embedded and committed by itself: an interrupted run
loses nothing that it reported, and the next one goes on where it stopped. A file whose
stamp is known, and whose LoRA has its vector, is not read again. A bad file never
stops the rest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorajax.library.entry import EMBEDDABLE_TIERS
from lorajax.library.indexing.absence import mark_absent
from lorajax.library.indexing.description import Describe, Embedder, Glance, ReadWords
from lorajax.library.indexing.glancing import glance_at
from lorajax.library.indexing.listing import Candidate, look_at
from lorajax.library.indexing.recognising import follow_files
from lorajax.library.indexing.retelling import retell
from lorajax.library.indexing.run import IndexReport, Run, begin, is_refused_still
from lorajax.library.indexing.storing import read_file
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
        read_file(run, file)
    missing = mark_absent(run, [file.path for file in found], roots, unlisted)
    library.forget_pathless()  # also what an interrupted run has left
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


def _of_vanished(run: Run) -> list[str]:
    count = len(run.vanished)
    names = ", ".join(Path(path).name for path in run.vanished[:_LONGEST_LIST])
    more = f" and {count - _LONGEST_LIST} more" if count > _LONGEST_LIST else ""
    files = "file" if count == 1 else "files"
    line = f"{count} {files} vanished before they could be read: {names}{more}"
    return [line] if count else []
