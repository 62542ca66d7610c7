"""Which style a LoRA is said to be of: by `labels.csv`, by its tags, by its folder."""

from collections import Counter
from pathlib import Path

from lorajax.dataset.collection import Collection
from lorajax.dataset.label_files import LABELS, read_labels
from lorajax.dataset.supervision import telling_tags
from lorajax.errors import DatasetError
from lorajax.formats.text import listed

MIN_STYLES, MIN_PER_FOLDER = 2, 3
Labels = tuple[str | None, ...]


def style_labels(collection: Collection) -> tuple[Labels, str]:
    """The first that there is of `labels.csv`, telling tags and folder names.

    Returns:
      The labels, and where they are from in words; all None and "" without any.
    """
    if found := file_labels(collection):
        return found
    tags = tuple(telling_tags([member.tags for member in collection.members]))
    if count_styles(tags) >= MIN_STYLES:
        return tags, "tags"
    if folders := folder_labels(collection):
        return folders, "folder names"
    return (None,) * len(collection.members), ""


def file_labels(collection: Collection) -> tuple[Labels, str] | None:
    """Labels of `labels.csv`, None without the file.

    Names that the collection lacks are passed over, since collections shrink; the
    words say how many there were.

    Raises:
      DatasetError: where the file names no LoRA of the collection at all.
    """
    path = collection.folder / LABELS
    if not path.is_file():
        return None
    styles, names = read_labels(path), collection.names
    strangers = sorted(styles.keys() - set(names))
    if len(strangers) == len(styles):
        raise DatasetError(
            f"{path}: expected names of this collection, such as {listed(names)}, "
            f"found {listed(strangers) or 'none'}",
            "lora_id is a file's name without its ending, or a PEFT folder's name",
        )
    ignored = f", ignoring {listed(strangers)}" if strangers else ""
    return tuple(styles.get(name) for name in names), f"{LABELS}{ignored}"


def folder_labels(collection: Collection) -> Labels | None:
    """Names of folders with enough LoRAs in them, None where there are too few."""
    parents = [_style_folder(collection, i) for i in range(len(collection.members))]
    counts = Counter(parent for parent in parents if parent is not None)
    large = {parent for parent, count in counts.items() if count >= MIN_PER_FOLDER}
    if len(large) < MIN_STYLES:
        return None
    return tuple(parent if parent in large else None for parent in parents)


def count_styles(labels: Labels) -> int:
    """How many labels two LoRAs or more share."""
    counts = Counter(label for label in labels if label is not None)
    return sum(count >= 2 for count in counts.values())


def _style_folder(collection: Collection, i: int) -> str | None:
    """The folder that holds a LoRA; of a PEFT folder, the one above it."""
    member = collection.members[i]
    parent: Path = member.path.parent
    if parent.name == member.name:
        parent = parent.parent
    inside = parent != collection.folder and collection.folder in parent.parents
    return parent.relative_to(collection.folder).as_posix() if inside else None
