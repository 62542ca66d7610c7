"""Labels that are there on the first day: of tags, declared base models and folders.

Receives what the library keeps of every file, hands out labels of the sources `sidecar`
and `folder`. Nothing is opened: the service's `sidecar_exchange` reads sidecars anew.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from lorajax.library.labels.label import (
    FOLDER,
    LONGEST_VALUE,
    SIDECAR,
    TAG,
    Label,
    drop_labels,
    write_labels,
)
from lorajax.library.labels.vocabulary import category_of, variant_of
from lorajax.library.store import Library
from lorajax.library.store.file_store import read_told

DERIVED = (TAG, "category", "base_variant")
MIN_IN_FOLDER, MIN_FOLDERS = 3, 2
_TAGS = "SELECT key, tags FROM loras"
_UNLABELLED = "SELECT key FROM labels WHERE source IN (?, ?)"


def derive_labels(library: Library, again: bool = False) -> int:
    """Labels LoRAs by what is said of them and by their folders.

    Args:
      again: takes what was derived before anew; otherwise only LoRAs are labelled of
        which no sidecar and no folder has said anything yet.

    Returns:
      How many labels were written.
    """
    told: dict[str, list[str]] = {}
    for key, text in library.query("SELECT key, told FROM paths"):
        told.setdefault(key, []).append(read_told(text).base_model)
    tags = {key: json.loads(text) for key, text in library.query(_TAGS)}
    labels = [
        *(
            one
            for key in tags
            for one in said_labels(key, tags[key], told.get(key, ()))
        ),
        *_folder_labels(library),
    ]
    with library.transaction():
        if again:
            for source in (SIDECAR, FOLDER):
                drop_labels(library, source, (*DERIVED, FOLDER))
        known = {key for (key,) in library.query(_UNLABELLED, SIDECAR, FOLDER)}
        fresh = [label for label in labels if label.key not in known]
        write_labels(library, fresh)
    return len(fresh)


def said_labels(key: str, tags: Iterable[str], declared: Iterable[str]) -> list[Label]:
    """The labels in one LoRA's tags and in what is declared as its base model."""
    tags = [tag[:LONGEST_VALUE] for tag in tags]
    found = [Label(key, TAG, tag, SIDECAR) for tag in dict.fromkeys(tags)]
    variant = next(filter(None, map(variant_of, declared)), "")
    for field, value in (("category", category_of(tags)), ("base_variant", variant)):
        if value:
            found.append(Label(key, field, value, SIDECAR))
    return found


def _folder_labels(library: Library) -> Iterator[Label]:
    """The folders that people sorted their LoRAs into, where there are several.

    A folder's name is also a category or a base variant where it is a word for one.
    """
    # Of several paths the last row stays: a present one, the first by name.
    rows = library.query("SELECT key, path FROM paths ORDER BY missing DESC, path DESC")
    homes = {key: _home(Path(path)) for key, path in rows}
    counts = Counter(homes.values())
    large = {folder for folder, count in counts.items() if count >= MIN_IN_FOLDER}
    if len(large) < MIN_FOLDERS:
        return
    for key, folder in homes.items():
        if folder in large and folder.name:
            name = folder.name[:LONGEST_VALUE]
            yield Label(key, FOLDER, name, FOLDER)
            if category := category_of([name]):
                yield Label(key, "category", category, FOLDER)
            if variant := variant_of(name):
                yield Label(key, "base_variant", variant, FOLDER)


def _home(path: Path) -> Path:
    """The folder that a person put a LoRA into; of a PEFT folder, the one above it."""
    inside = path.stem.startswith("adapter_model")
    return path.parent.parent if inside else path.parent
