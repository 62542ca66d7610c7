"""Labels as front ends use them: read, write, undo; and the groups of a collection."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lorajax.errors import LibraryError
from lorajax.library import Library, find
from lorajax.library.clusters import MIN_SIZE, Clusters, find_clusters, kept_clusters
from lorajax.library.labels import (
    Change,
    Label,
    change_labels,
    check_field,
    derive_labels,
    effective,
    read_labels,
    undo,
)
from lorajax.service.progress import OnProgress, Progress

__all__ = [
    "Change",
    "Clusters",
    "Label",
    "Labelled",
    "change",
    "clusters",
    "derive",
    "labelled",
    "parse_words",
    "places_of",
    "take_back",
]


@dataclass(frozen=True)
class Labelled:
    """One LoRA with all that is said of it, the most trusted first.

    Attributes:
      holds: field → the values that count.
    """

    key: str
    name: str
    path: str
    labels: tuple[Label, ...]
    holds: dict[str, tuple[str, ...]]


def parse_words(words: Sequence[str]) -> list[tuple[str, str]]:
    """`field=value` words as pairs; `field=` says that nothing of it holds.

    Raises:
      LibraryError: for a word without `=` or with a field that cannot be.
    """
    pairs: list[tuple[str, str]] = []
    for word in words:
        field, equals, value = word.partition("=")
        if not equals:
            raise LibraryError(
                f"expected field=value, found {word!r}",
                "for example: lorajax label NAME category=style style=ink",
            )
        pairs.append((check_field(field), value.strip()))
    return pairs


def change(
    path: Path | None,
    names: Sequence[str],
    say: Sequence[tuple[str, str]] = (),
    unsay: Sequence[tuple[str, str | None]] = (),
) -> list[Labelled]:
    """Writes a person's labels for LoRAs of the library, named or by path.

    Raises:
      LibraryError: for a name that fits no or several LoRAs; nothing is written then.
    """
    # In one transaction: a LoRA that is found may not go before it is labelled.
    with Library.open(path, create=False) as library, library.transaction():
        keys = [find(library, name).key for name in names]
        change_labels(library, keys, say, unsay)
        return _labelled(library, keys)


def take_back(path: Path | None = None) -> Change | None:
    """Undoes the last change of a person; None where there is none."""
    with Library.open(path, create=False) as library:
        return undo(library)


def labelled(
    path: Path | None = None, names: Sequence[str] = (), field: str | None = None
) -> list[Labelled]:
    """LoRAs with their labels: the ones named, or all that have any."""
    with Library.open(path, create=False) as library:
        derive_labels(library)
        with library.snapshot():
            keys = [find(library, name).key for name in names] if names else None
            return _labelled(library, keys, field)


def derive(path: Path | None = None, again: bool = False) -> int:
    """Labels LoRAs by their tags, declared base models and folders."""
    with Library.open(path, create=False) as library:
        return derive_labels(library, again)


def clusters(
    path: Path | None = None,
    base_model: str | None = None,
    min_size: int = MIN_SIZE,
    kept: bool = False,
    on_progress: OnProgress = lambda progress: None,
) -> list[Clusters]:
    """The groups of the collection, base model by base model.

    Args:
      base_model: only this one.
      kept: what was found last time, where there is such.

    Raises:
      LibraryError: where no LoRA, or none of the base model, has a vector.
    """
    with Library.open(path, create=False) as library:
        derive_labels(library)
        spaces = current_spaces(library, base_model)
        found: list[Clusters] = []
        for done, (base, space) in enumerate(spaces.items()):
            on_progress(Progress("grouping", done, len(spaces), base))
            before = kept_clusters(library, base) if kept else None
            found.append(before or find_clusters(library, base, space, min_size))
        on_progress(Progress("grouping", len(spaces), len(spaces)))
        return found


def current_spaces(library: Library, base_model: str | None = None) -> dict[str, str]:
    """Base model → the space it is compared in, the largest first.

    Raises:
      LibraryError: where there is none, or none of the base model asked for.
    """
    counts = library.spaces()
    rows = library.query(
        "SELECT base_model FROM loras GROUP BY base_model ORDER BY COUNT(*) DESC"
    )
    spaces = {base: library.current_space(base) for (base,) in rows}
    usable = {base: space for base, space in spaces.items() if space in counts}
    chosen = {b: str(s) for b, s in usable.items() if base_model in (None, b)}
    if not chosen:
        raise LibraryError(
            f"expected LoRAs with vectors of {base_model or 'any base model'}, found "
            f"{', '.join(usable) or 'none'}",
            "bring some in with `lorajax index FOLDER`",
        )
    return chosen


def places_of(library: Library) -> dict[str, tuple[str, str]]:
    """Content key → name and the path it lies at first, "" where there is none."""
    rows = library.query(
        "SELECT loras.key, name, path FROM loras LEFT JOIN paths USING (key) "
        "ORDER BY missing DESC, path DESC"
    )
    return {key: (name, path or "") for key, name, path in rows}


def _labelled(
    library: Library, keys: Sequence[str] | None, field: str | None = None
) -> list[Labelled]:
    wanted = None if keys is None else set(keys)
    labels = read_labels(library, field, wanted)
    places = places_of(library)
    own: dict[str, list[Label]] = {key: [] for key in keys or ()}
    for label in labels:
        own.setdefault(label.key, []).append(label)
    held = effective(labels)
    holds: dict[str, dict[str, tuple[str, ...]]] = {}
    for (key, name), found in held.items():
        holds.setdefault(key, {})[name] = tuple(label.value for label in found)
    return [
        Labelled(key, *places[key], tuple(own[key]), holds.get(key, {}))
        for key in own
        if keys is not None or places[key][1]
    ]
