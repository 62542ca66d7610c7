"""Supervision `auto`: takes the first that a collection offers, and says which."""

from collections.abc import Callable
from dataclasses import replace

from lorajax.dataset.behaviour import from_behaviour
from lorajax.dataset.collection import Collection
from lorajax.dataset.label_files import find_files, read_rankings, read_triplets
from lorajax.dataset.labels import (
    MIN_STYLES,
    count_styles,
    file_labels,
    folder_labels,
    style_labels,
)
from lorajax.dataset.supervision import (
    Supervision,
    from_labels,
    from_tags,
    from_triplets,
    unsupervised,
)
from lorajax.errors import DatasetError
from lorajax.pictures.image_encoder import ImageEncoder

NOTHING = (
    "no supervision found: add folders per style (at least 2 folders of 3), tags in "
    "sidecars or training metadata, a labels.csv, pictures in behaviour/, or a "
    "triplets.jsonl"
)
OnProgress = Callable[[int, int], None]
Finder = Callable[[Collection, OnProgress, ImageEncoder | None], Supervision | None]


def find_supervision(
    collection: Collection,
    kind: str,
    on_progress: OnProgress = lambda done, total: None,
    encoder: ImageEncoder | None = None,
) -> Supervision:
    """The teacher of a collection.

    Args:
      kind: `auto` for the first that is there, or the one that must be there.
      on_progress: called with (LoRAs described, LoRAs in all) while pictures are read.
      encoder: what describes the pictures; None for our own measures.

    Raises:
      DatasetError: where the kind that was asked for is not there.
    """
    if kind == "none":
        return unsupervised(len(collection.members), "supervision is switched off")
    for name, find in FINDERS.items():
        if kind not in ("auto", name):
            continue
        found = find(collection, on_progress, encoder)
        if found is not None:
            return found
    if kind == "auto":
        return unsupervised(len(collection.members), NOTHING)
    raise DatasetError(
        f"{collection.folder}: collection.supervision={kind} was asked for, found none",
        EXPECTED[kind],
    )


def _triplets(collection: Collection, *_: object) -> Supervision | None:
    return _from_files(collection, "triplets")


def _rankings(collection: Collection, *_: object) -> Supervision | None:
    return _from_files(collection, "rankings")


def _from_files(collection: Collection, kind: str) -> Supervision | None:
    pattern, read = LABEL_FILES[kind]
    files = find_files(collection.folder, pattern)
    if not files:
        return None
    places = {name: i for i, name in enumerate(collection.names)}
    triplets = read(files[0], places)
    if not len(triplets):
        raise DatasetError(
            f"{files[0]}: none of its triplets names three LoRAs of this collection",
            f"ids must be names as in: {', '.join(collection.names[:3])}",
        )
    note = f"{len(triplets)} triplets from {files[0].name}"
    return from_triplets(
        "triplets" if kind == "triplets" else "rankings",
        len(collection.members),
        triplets,
        note,
    )


def _behaviour(
    collection: Collection, on_progress: OnProgress, encoder: ImageEncoder | None
) -> Supervision | None:
    labels, labels_from = style_labels(collection)
    return from_behaviour(
        collection.folder, collection.names, labels, labels_from, on_progress, encoder
    )


def _tags(collection: Collection, *_: object) -> Supervision | None:
    tags = [member.tags for member in collection.members]
    found = from_tags(tags, "")
    if len(found.usable_labels) < MIN_STYLES:
        return None
    labels, labels_from = file_labels(collection) or (found.labels, "")
    by = f" by {labels_from}" if labels_from else ""
    tagged, styles = sum(bool(own) for own in tags), count_styles(labels)
    note = f"tags of {tagged} of {len(tags)} LoRAs, {styles} styles{by}"
    return replace(found, labels=labels, note=note)


def _folders(collection: Collection, *_: object) -> Supervision | None:
    found = file_labels(collection)
    labels, labels_from = found or (folder_labels(collection), "folder names")
    if labels is None or count_styles(labels) < MIN_STYLES:
        return None
    return from_labels(labels, f"{labels_from}, {count_styles(labels)} styles")


LABEL_FILES = {
    "triplets": ("*triplets*.jsonl", read_triplets),
    "rankings": ("*ranking*.csv", read_rankings),
}
FINDERS: dict[str, Finder] = {
    "triplets": _triplets,
    "rankings": _rankings,
    "behaviour": _behaviour,
    "tags": _tags,
    "folders": _folders,
}
EXPECTED = {
    "triplets": 'put *triplets*.jsonl with {"anchor", "positive", "negative"} there',
    "rankings": "put *ranking*.csv with query_id,lora_id,rank there",
    "behaviour": "put behaviour/behaviour.json and a behaviour/<LoRA>.png each there",
    "tags": "at least two tags must be shared by two LoRAs each",
    "folders": "at least 2 folders with 3 LoRAs each, or a labels.csv, are needed",
}
