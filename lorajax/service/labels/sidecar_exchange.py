"""Labels and results from and to the sidecars that other programs keep beside LoRAs.

Those of ComfyUI-Lora-Manager, Civitai Helper and the web UI of AUTOMATIC1111.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorajax.dataset.tags import sidecar_tags
from lorajax.errors import FormatError, LorajaxError
from lorajax.formats.sidecar_writing import (
    ENDINGS,
    METADATA,
    WEBUI,
    Words,
    Writing,
    plan_sidecar,
    write_sidecar,
)
from lorajax.formats.sidecars import read_document, read_sidecars
from lorajax.formats.text import clean, plain
from lorajax.library import Library, find
from lorajax.library.clusters import kept_clusters
from lorajax.library.entry import DERIVED, SIDECAR
from lorajax.library.labels import (
    PERSON,
    TAG,
    Label,
    derive_labels,
    read_labels,
    write_labels,
)
from lorajax.library.labels.derived import said_labels
from lorajax.library.labels.label import LONGEST_VALUE
from lorajax.service.labels.label_documents import label_document
from lorajax.service.labels.label_tables import Imported
from lorajax.service.progress import OnProgress, Progress

NOTE, FAVOURITE = "note", "favourite"
_FROM_DISK = (*DERIVED, NOTE, FAVOURITE)
_EVERY = 100
_PRESENT = """
SELECT key, path, loras.tags FROM paths JOIN loras USING (key) WHERE NOT missing
"""
# A person's words of these fields are tags to other programs.
_TAG_FIELDS = (TAG, "category", "style", "character")


@dataclass(frozen=True)
class Sidecars:
    """What writing sidecars changes, or has changed.

    Attributes:
      unchanged: sidecars that already say it.
      refused: path and reason of those that were not touched.
      written: whether this was done, and not only planned.
    """

    writings: tuple[Writing, ...]
    unchanged: int
    refused: tuple[tuple[str, str], ...]
    written: bool


def import_sidecars(
    path: Path | None = None, on_progress: OnProgress = lambda progress: None
) -> Imported:
    """Reads every sidecar anew: tags, base model, notes and favourites.

    What sidecars said before is replaced, a person's words stay.
    """
    with Library.open(path, create=False) as library:
        rows = library.query(_PRESENT)
        labels: list[Label] = []
        for done, (key, place, tags) in enumerate(rows):
            labels += _sidecar_labels(key, Path(place), json.loads(tags))
            if done % _EVERY == 0:
                on_progress(Progress("reading sidecars", done, len(rows)))
        on_progress(Progress("reading sidecars", len(rows), len(rows)))
        keys = {(key,) for key, _, _ in rows}
        with library.transaction():
            marks = ", ".join("?" * len(_FROM_DISK))
            library.execute_many(
                f"DELETE FROM labels WHERE key = ? AND source = '{SIDECAR}' "
                f"AND field IN ({marks})",
                [(*key, *_FROM_DISK) for key in keys],
            )
            # Files were read for long: some LoRAs may have gone meanwhile.
            there = {key for (key,) in library.query("SELECT key FROM loras")}
            labels = [label for label in labels if label.key in there]
            write_labels(library, labels)
    return Imported(len(set(labels)), len({label.key for label in labels}))


def write_sidecars(
    names: Sequence[str] = (),
    path: Path | None = None,
    ending: str = METADATA,
    write: bool = False,
) -> Sidecars:
    """Plans, or writes, what the library knows into the sidecars of present files.

    A person's categories, styles, characters and tags become the program's own tags and
    a person's base variant its base model; guesses and clusters stand in our key alone,
    so that no guess comes back one day as what somebody said.

    Args:
      names: LoRAs of the library; none is all that have anything to say.
      write: False changes nothing.

    Raises:
      LorajaxError: for another ending, or a name that fits no LoRA.
    """
    if ending not in ENDINGS:
        raise LorajaxError(
            f"expected one of {', '.join(ENDINGS)}, found {clean(ending, 40)!r}"
        )
    writings: list[Writing] = []
    refused: list[tuple[str, str]] = []
    unchanged = 0
    with Library.open(path, create=False) as library:
        derive_labels(library)
        keys = {find(library, name).key for name in names} if names else None
        for weights, words in _words_of(library, keys):
            try:
                writing = plan_sidecar(weights, ending, words)
                if not writing.changes:
                    unchanged += 1
                    continue
                if write:
                    write_sidecar(writing)
                writings.append(writing)
            except FormatError as error:
                refused.append((str(weights), str(error)))
    return Sidecars(tuple(writings), unchanged, tuple(refused), write)


def sidecars_document(found: Sidecars) -> dict[str, Any]:
    """`written`, `sidecars[{path, made, changes[]}]`, `unchanged`, `refused[]`."""
    return {
        "written": found.written,
        "sidecars": [
            {
                "path": str(writing.path),
                "made": writing.made,
                "changes": list(writing.changes),
            }
            for writing in found.writings
        ],
        "unchanged": found.unchanged,
        "refused": [{"path": path, "reason": why} for path, why in found.refused],
    }


def _words_of(library: Library, keys: set[str] | None) -> Iterator[tuple[Path, Words]]:
    """Every present file with what there is to say beside it."""
    labels: dict[str, list[Label]] = {}
    for label in read_labels(library, keys=keys):
        labels.setdefault(label.key, []).append(label)
    clusters: dict[str, dict[str, Any]] = {}
    for (base,) in library.query("SELECT DISTINCT base_model FROM loras"):
        kept = kept_clusters(library, base)
        for one in kept.clusters if kept else ():
            for key in one.members:
                clusters[key] = {"number": one.number, "name": one.name or None}
    rows = library.query(
        "SELECT key, path, base_model FROM paths JOIN loras USING (key) "
        "WHERE NOT missing ORDER BY path"
    )
    for key, place, base in rows:
        own = labels.get(key, [])
        ours = {
            "base_model": base,
            "content_key": key,
            "labels": _ours(own),
            "cluster": clusters.get(key),
        }
        wanted = (
            key in keys if keys is not None else (ours["labels"] or key in clusters)
        )
        if wanted:
            yield Path(place), _words(own, ours)


def _words(own: Sequence[Label], ours: dict[str, Any]) -> Words:
    said = [one for one in own if one.source == PERSON and one.value]
    variant = [one.value for one in said if one.field == "base_variant"]
    return Words(
        tags=tuple(one.value for one in said if one.field in _TAG_FIELDS),
        base_model=variant[0] if variant else "",
        overrides=bool(variant),
        ours=ours,
    )


def _ours(own: Sequence[Label]) -> list[dict[str, Any]]:
    """What did not come from the sidecars themselves."""
    return [label_document(one) for one in own if one.source != SIDECAR]


def _sidecar_labels(key: str, weights: Path, known: list[str]) -> Iterator[Label]:
    """What sidecars say now; where none of them has tags, the known ones stay."""
    facts = read_sidecars(weights).facts
    tags = sidecar_tags(weights) or known
    declared = [word.value for word in facts.get("base_model", ())]
    yield from said_labels(key, tags, declared)
    document, plain_json = (_said_beside(weights, end) for end in (METADATA, WEBUI))
    if document.get("favorite") is True:
        yield Label(key, FAVOURITE, "yes", SIDECAR)
    for notes in (document.get("notes"), plain_json.get("notes")):
        if isinstance(notes, str) and (note := plain(notes, LONGEST_VALUE)):
            yield Label(key, NOTE, note, SIDECAR)


def _said_beside(weights: Path, ending: str) -> dict[str, Any]:
    """The sidecar of an ending; {} where there is none."""
    try:
        return read_document(weights.with_name(weights.stem + ending))
    except FormatError:
        # What is no JSON object says nothing; `inspect` warns of it.
        return {}
