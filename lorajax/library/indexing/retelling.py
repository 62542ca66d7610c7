"""What sidecars say, brought up to date without a look at the weights."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from lorajax.library.indexing.description import ReadWords, Words
from lorajax.library.indexing.listing import Candidate
from lorajax.library.indexing.run import Run, attempt
from lorajax.library.store import Library


def retell(run: Run, files: Sequence[Candidate], read: ReadWords) -> None:
    """Reads the words of known files of which a sidecar or preview changed."""
    for file in files:
        known = run.known[str(file.path)]
        if known.beside == file.beside:
            continue
        words = attempt(run, file, read)
        if words is not None:
            _write(run.library, file, known.key, words)
            run.put(str(file.path), known._replace(beside=file.beside))
            run.counts["retold"] += 1


def _write(library: Library, file: Candidate, key: str, words: Words) -> None:
    told, tags = (
        json.dumps(value, ensure_ascii=False)
        for value in (asdict(words.told), words.tags)
    )
    with library.transaction():
        library.execute(
            "UPDATE paths SET told = ?, beside = ?, tags = ? WHERE path = ?",
            *(told, file.beside, tags, str(file.path)),
        )
        library.renew(key)
