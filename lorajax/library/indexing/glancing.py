"""The header pass: new files are listed at once, long before their weights are read."""

import time
from collections.abc import Callable, Sequence
from dataclasses import astuple

from lorajax.library.indexing.description import Glance
from lorajax.library.indexing.listing import Candidate
from lorajax.library.indexing.run import Run, attempt
from lorajax.library.store.file_store import Waiting

BATCH = 100
BATCH_SECONDS = 0.5


def glance_at(
    run: Run,
    files: Sequence[Candidate],
    glance: Glance,
    on_file: Callable[[int, Candidate], None],
) -> list[Candidate]:
    """Lists files as waiting, in batches; returns those that were not refused.

    Args:
      on_file: called before each file with how many are done.
    """
    before = {str(file.path): file.stamp for file in run.library.waiting()}
    kept: list[Candidate] = []
    batch: list[Waiting] = []
    written = time.monotonic()
    for done, file in enumerate(files):
        on_file(done, file)
        known = run.known.get(str(file.path))
        if file.stamp in (before.get(str(file.path)), known and known.stamp):
            kept.append(file)
            continue
        heading = attempt(run, file, glance)
        if heading is None:
            continue
        kept.append(file)
        batch.append(Waiting(file.path, file.stamp, *astuple(heading)))
        if len(batch) >= BATCH or time.monotonic() - written > BATCH_SECONDS:
            run.library.wait_for(batch)
            batch, written = [], time.monotonic()
    run.library.wait_for(batch)
    return kept
