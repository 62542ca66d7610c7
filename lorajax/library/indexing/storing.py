"""One file of an indexing run: described, embedded and written in one transaction."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from lorajax.errors import ProjectionError
from lorajax.formats.scan import lora_name
from lorajax.library.entry import EMBEDDABLE_TIERS, Place, stamp
from lorajax.library.indexing.description import Description
from lorajax.library.indexing.listing import Candidate, is_gone
from lorajax.library.indexing.run import Known, Run, attempt
from lorajax.library.spaces import sketch_space


def read_file(run: Run, file: Candidate) -> None:
    """Reads, embeds and stores one file, as it is now; a bad one is reported.

    Raises:
      LibraryError: where it is the library that failed, not the file.
    """

    def work(path: Path) -> None:
        now = replace(file, stamp=stamp(path))
        _store(run, now, run.describe(path))

    attempt(run, file, work)


def _store(run: Run, file: Candidate, found: Description) -> None:
    """Writes one described file, embedding it where its vector is not known yet."""
    space, vector = _embed(run, found)
    path = str(file.path)
    beside = (file.config, file.beside)
    words = (found.header, found.told, *beside, found.facts.tags)
    place = Place(file.path, file.stamp, *words)
    with run.library.transaction():
        if found.key in run.tiers and run.library.entry(found.key) is None:
            run.lose(found.key)
            space, vector = _embed(run, found)
        vectors = {} if vector is None else {space: vector}
        kind, gone = _classify(run, path, found.key)
        if kind == "copies" and vector is None and found.key not in run.outdated:
            run.library.add_place(found.key, place)
        else:
            if found.sketch is not None:
                vectors[sketch_space(found.facts.base_model)] = found.sketch
            facts = replace(found.facts, name=_name(run, found))
            run.library.upsert(found.key, facts, place, vectors)
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


def _name(run: Run, found: Description) -> str:
    """What a LoRA is called: as before, while a file of that name is left."""
    before = run.library.query("SELECT name FROM loras WHERE key = ?", found.key)
    paths = run.paths_of.get(found.key, set())
    names = {lora_name(path) for path in paths if not run.has_left(path)}
    return before[0][0] if before and before[0][0] in names else found.facts.name


def _classify(run: Run, path: str, key: str) -> tuple[str, list[str]]:
    """What a described file is to the library, and paths that it replaces."""
    before = run.known.get(path)
    if before is not None and before.key == key:
        return "reread", []
    if key in run.tiers:
        others = run.paths_of.get(key, set())
        moved = all(map(run.has_left, others))
        return "moved" if moved else "copies", list(filter(is_gone, others))
    return ("updated" if before else "added"), []
