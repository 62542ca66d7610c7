"""Labels that are there on the first day: of tags, declared base models and folders.

Receives what the library keeps of every file, hands out labels of the sources `sidecar`
and `folder`. Nothing is opened: the service's `sidecar_exchange` reads sidecars anew.
"""

import json
import os
from collections import Counter
from collections.abc import Container, Iterable, Iterator

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
_UNLABELLED = """
SELECT key, tags FROM loras WHERE NOT EXISTS (
  SELECT 1 FROM labels WHERE labels.key = loras.key AND source IN (?, ?)
)
"""
_FORGET = f"""
DELETE FROM labels WHERE key = ? AND source IN (?, ?)
AND field IN ({", ".join("?" * len((*DERIVED, FOLDER)))})
"""


def derive_labels(library: Library, again: bool = False) -> int:
    """Labels LoRAs by what is said of them and by their folders.

    Args:
      again: takes what was derived before anew; otherwise only LoRAs are labelled of
        which no sidecar and no folder has said anything yet.

    Returns:
      How many labels were written.
    """
    with library.transaction():
        if again:
            for source in (SIDECAR, FOLDER):
                drop_labels(library, source, (*DERIVED, FOLDER))
        rows = library.query(_UNLABELLED, SIDECAR, FOLDER)
        tags = {key: json.loads(text) for key, text in rows}
        if not tags:
            return 0
        told: dict[str, list[str]] = {}
        for key, text in library.query("SELECT key, told FROM paths"):
            if key in tags:
                told.setdefault(key, []).append(read_told(text).base_model)
        said = (said_labels(key, tags[key], told.get(key, ())) for key in tags)
        labels = [
            *(label for own in said for label in own),
            *_folder_labels(library, tags),
        ]
        write_labels(library, labels)
    return len(labels)


def forget_derived(library: Library, key: str) -> None:
    """Forgets what was derived of one LoRA, of whose files something has changed."""
    library.execute(_FORGET, key, SIDECAR, FOLDER, *DERIVED, FOLDER)


def said_labels(key: str, tags: Iterable[str], declared: Iterable[str]) -> list[Label]:
    """The labels in one LoRA's tags and in what is declared as its base model."""
    tags = [tag[:LONGEST_VALUE] for tag in tags]
    found = [Label(key, TAG, tag, SIDECAR) for tag in dict.fromkeys(tags)]
    variant = next(filter(None, map(variant_of, declared)), "")
    for field, value in (("category", category_of(tags)), ("base_variant", variant)):
        if value:
            found.append(Label(key, field, value, SIDECAR))
    return found


def _folder_labels(library: Library, keys: Container[str]) -> Iterator[Label]:
    """The folders that people sorted these LoRAs into, where there are several.

    A folder's name is also a category or a base variant where it is a word for one.
    """
    # Of several paths the last row stays: a present one, the first by name.
    rows = library.query("SELECT key, path FROM paths ORDER BY missing DESC, path DESC")
    homes = {key: _home(path) for key, path in rows}
    counts = Counter(homes.values())
    large = {folder for folder, count in counts.items() if count >= MIN_IN_FOLDER}
    if len(large) < MIN_FOLDERS:
        return
    names = {folder: os.path.basename(folder)[:LONGEST_VALUE] for folder in large}
    for key, folder in homes.items():
        if key in keys and (name := names.get(folder)):
            yield Label(key, FOLDER, name, FOLDER)
            if category := category_of([name]):
                yield Label(key, "category", category, FOLDER)
            if variant := variant_of(name):
                yield Label(key, "base_variant", variant, FOLDER)


def _home(path: str) -> str:
    """The folder that a person put a LoRA into; of a PEFT folder, the one above it."""
    folder, name = os.path.split(path)
    return os.path.dirname(folder) if name.startswith("adapter_model") else folder
