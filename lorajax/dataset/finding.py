"""Supervision `auto`: takes the first that a collection offers, and says which."""

from collections import Counter
from collections.abc import Callable

from lorajax.dataset.collection import Collection
from lorajax.dataset.label_files import find_files, read_rankings, read_triplets
from lorajax.dataset.supervision import (
    Supervision,
    from_labels,
    from_tags,
    from_triplets,
    unsupervised,
)
from lorajax.errors import DatasetError

MIN_FOLDERS, MIN_PER_FOLDER = 2, 3
NOTHING = (
    "no supervision found: add folders per style (at least 2 folders of 3), tags in "
    "sidecars or training metadata, or a triplets.jsonl"
)


def find_supervision(collection: Collection, kind: str) -> Supervision:
    """The teacher of a collection.

    Args:
      kind: `auto` for the first that is there, or the one that must be there.

    Raises:
      DatasetError: where the kind that was asked for is not there.
    """
    if kind == "none":
        return unsupervised(len(collection.members), "supervision is switched off")
    for name, find in FINDERS.items():
        found = find(collection) if kind in ("auto", name) else None
        if found is not None:
            return found
    if kind == "auto":
        return unsupervised(len(collection.members), NOTHING)
    raise DatasetError(
        f"{collection.folder}: collection.supervision={kind} was asked for, found none",
        EXPECTED[kind],
    )


def _triplets(collection: Collection) -> Supervision | None:
    return _from_files(collection, "triplets")


def _rankings(collection: Collection) -> Supervision | None:
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


def _tags(collection: Collection) -> Supervision | None:
    tags = [member.tags for member in collection.members]
    found = from_tags(tags, "")
    if len(found.usable_labels) < MIN_FOLDERS:
        return None
    tagged = sum(bool(own) for own in tags)
    note = f"tags of {tagged} of {len(tags)} LoRAs, {len(found.usable_labels)} styles"
    return from_tags(tags, note)


def _folders(collection: Collection) -> Supervision | None:
    parents = [_style_folder(collection, i) for i in range(len(collection.members))]
    counts = Counter(parent for parent in parents if parent is not None)
    large = {parent for parent, count in counts.items() if count >= MIN_PER_FOLDER}
    if len(large) < MIN_FOLDERS:
        return None
    labels = [parent if parent in large else None for parent in parents]
    return from_labels(labels, f"folder names, {len(large)} styles")


def _style_folder(collection: Collection, i: int) -> str | None:
    """The folder that holds a LoRA; of a PEFT folder, the one above it."""
    member = collection.members[i]
    parent = member.path.parent
    if parent.name == member.name:
        parent = parent.parent
    inside = parent != collection.folder and collection.folder in parent.parents
    return parent.relative_to(collection.folder).as_posix() if inside else None


LABEL_FILES = {
    "triplets": ("*triplets*.jsonl", read_triplets),
    "rankings": ("*ranking*.csv", read_rankings),
}
FINDERS: dict[str, Callable[[Collection], Supervision | None]] = {
    "triplets": _triplets,
    "rankings": _rankings,
    "tags": _tags,
    "folders": _folders,
}
EXPECTED = {
    "triplets": 'put *triplets*.jsonl with {"anchor", "positive", "negative"} there',
    "rankings": "put *ranking*.csv with query_id,lora_id,rank there",
    "tags": "at least two tags must be shared by two LoRAs each",
    "folders": "at least 2 folders with 3 LoRAs each are needed",
}
