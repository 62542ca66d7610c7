"""Labels that are there on the first day: of tags, declared base models and folders.

Receives what the library keeps of every file, hands out labels of the sources `sidecar`
and `folder`. Nothing is opened: the service's `sidecar_exchange` reads sidecars anew.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator

from lorajax.library.entry import DERIVED, SIDECAR
from lorajax.library.labels.label import (
    FOLDER,
    LONGEST_VALUE,
    TAG,
    Label,
    drop_labels,
    write_labels,
)
from lorajax.library.labels.vocabulary import category_of, variant_of
from lorajax.library.store import Library
from lorajax.library.store.file_store import read_told

MIN_IN_FOLDER, MIN_FOLDERS = 3, 2
_FIELDS = ", ".join("?" * len(DERIVED))
# Notes and favourites are of sidecars too, and say nothing of what was derived.
# The inner query goes by keys in their order, which is some times as fast.
_UNSAID = f"""
SELECT key, tags FROM loras WHERE id IN (SELECT id FROM loras WHERE NOT EXISTS (
  SELECT 1 FROM labels WHERE labels.key = loras.key
  AND source = ? AND field IN ({_FIELDS})
))
"""
# The paths that folders were sorted by last.
_SORTED_BY = "labels:folders"
_DROP = "DELETE FROM labels WHERE key = ? AND field = ? AND value = ? AND source = ?"


def derive_labels(library: Library, again: bool = False) -> int:
    """Labels LoRAs by what is said of them and by their folders.

    Args:
      again: takes what was derived before anew; otherwise tags are derived only of
        LoRAs of which no sidecar has said anything yet. What folders say is brought
        up to date for all once any path has changed: it depends on what else lies
        in them.

    Returns:
      How many labels were written.
    """
    with library.transaction():
        if again:
            for source in (SIDECAR, FOLDER):
                drop_labels(library, source, (*DERIVED, FOLDER))
        labels = list(_unsaid(library))
        write_labels(library, labels)
        paths = str(library.paths_revision())
        if not again and library.get_meta(_SORTED_BY) == paths:
            return len(labels)
        library.set_meta(_SORTED_BY, paths)
        return len(labels) + _sort_into_folders(library)


def said_labels(key: str, tags: Iterable[str], declared: Iterable[str]) -> list[Label]:
    """The labels in one LoRA's tags and in what is declared as its base model."""
    tags = [tag[:LONGEST_VALUE] for tag in tags]
    found = [Label(key, TAG, tag, SIDECAR) for tag in dict.fromkeys(tags)]
    variant = next(filter(None, map(variant_of, declared)), "")
    for field, value in (("category", category_of(tags)), ("base_variant", variant)):
        if value:
            found.append(Label(key, field, value, SIDECAR))
    return found


def _unsaid(library: Library) -> Iterator[Label]:
    """The labels in tags and declared base models that are not written yet."""
    rows = library.query(_UNSAID, SIDECAR, *DERIVED)
    tags = {key: json.loads(text) for key, text in rows}
    if not tags:
        return
    told: dict[str, list[str]] = {}
    for key, text in library.query("SELECT key, told FROM paths"):
        if key in tags:
            told.setdefault(key, []).append(read_told(text).base_model)
    for key, words in tags.items():
        yield from said_labels(key, words, told.get(key, ()))


def _sort_into_folders(library: Library) -> int:
    """Brings what folders say up to date; returns how many labels came."""
    rows = library.query(
        "SELECT key, field, value FROM labels WHERE source = ?", FOLDER
    )
    # Plain rows: of 100,000 LoRAs mostly none has changed.
    before, now = set(rows), set(_folder_rows(library))
    library.execute_many(_DROP, [(*row, FOLDER) for row in before - now])
    write_labels(library, (Label(*row, FOLDER) for row in now - before))
    return len(now - before)


def _folder_rows(library: Library) -> Iterator[tuple[str, str, str]]:
    """Key, field and value by the folders of LoRAs, where there are several."""
    homes: dict[str, tuple[int, str]] = {}
    for key, *place in library.query("SELECT key, missing, path FROM paths"):
        # Of several paths a present one, the first by name.
        homes[key] = min(homes.get(key, (2, "")), (place[0], place[1]))
    folders = {key: _home(path) for key, (_, path) in homes.items()}
    counts = Counter(folders.values())
    large = [folder for folder, count in counts.items() if count >= MIN_IN_FOLDER]
    if len(large) < MIN_FOLDERS:
        return
    words = {folder: _folder_words(folder) for folder in large}
    for key, folder in folders.items():
        for field, value in words.get(folder, ()):
            yield key, field, value


def _folder_words(folder: str) -> list[tuple[str, str]]:
    """A folder's name, also as a category or a base variant where it is one's word."""
    name = os.path.basename(folder)[:LONGEST_VALUE]
    said = ((FOLDER, name), ("category", category_of([name])))
    named = (*said, ("base_variant", variant_of(name)))
    return [(field, value) for field, value in named if name and value]


def _home(path: str) -> str:
    """The folder that a person put a LoRA into; of a PEFT folder, the one above it."""
    folder, name = os.path.split(path)
    return os.path.dirname(folder) if name.startswith("adapter_model") else folder
