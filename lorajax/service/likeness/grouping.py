"""What the LoRAs of a map are coloured by: labels, tags, variants, folders, families.

A way to group gives each LoRA one group or none. Offered are those that tell at least
two groups apart, and have no more groups than half of the LoRAs.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorajax.errors import LibraryError
from lorajax.library import Library
from lorajax.library.clusters import kept_clusters
from lorajax.library.labels import effective, read_labels

# A tag that nearly all have tells nothing; so do tags beyond those that get a colour.
_NEARLY_ALL, _MAX_TAGS = 0.6, 8
# Labels of these fields come first, where the library has them.
CLUSTER = "cluster"
_FIRST_FIELDS = (CLUSTER, "style")


@dataclass(frozen=True)
class Grouping:
    """One group for each LoRA, "" where it has none.

    Attributes:
      names: the groups, the largest first.
    """

    by: str
    of: tuple[str, ...]
    names: tuple[str, ...]


def groupings(path: Path | None, keys: Sequence[str]) -> list[Grouping]:
    """Every way to group these LoRAs that tells something."""
    with Library.open(path, create=False) as library:
        fields = [f for (f,) in library.query("SELECT DISTINCT field FROM labels")]
        first = [field for field in _FIRST_FIELDS if field in fields]
        ways: dict[str, Callable[[Library], dict[str, str]]] = {
            **{field: _labels(field) for field in dict.fromkeys([*first, *fields])},
            **({CLUSTER: _clusters} if CLUSTER in fields else {}),
            "tag": lambda found: _tags(found, set(keys)),
            "variant": _variants,
            "folder": _folders,
            "family": lambda found: dict(found.query("SELECT key, family FROM loras")),
        }
        found = [_grouping(by, ways[by](library), keys) for by in ways]
    return [one for one in found if 1 < len(one.names) <= max(2, len(keys) / 2)]


def group_by(path: Path | None, keys: Sequence[str], by: str) -> Grouping:
    """The grouping of one name.

    Raises:
      LibraryError: where these LoRAs cannot be told apart by it.
    """
    known = {grouping.by: grouping for grouping in groupings(path, keys)}
    if by not in known:
        raise LibraryError(
            f"expected a way to tell these LoRAs apart, found {by!r}",
            f"choose one of: {', '.join(known) or 'none, they are all alike'}",
        )
    return known[by]


def _grouping(by: str, of: dict[str, str], keys: Sequence[str]) -> Grouping:
    groups = tuple(of.get(key, "") for key in keys)
    counts = Counter(group for group in groups if group)
    return Grouping(by, groups, tuple(sorted(counts, key=lambda g: (-counts[g], g))))


def _labels(field: str) -> Callable[[Library], dict[str, str]]:
    """What holds of one field; of several the first by name."""

    def read(library: Library) -> dict[str, str]:
        held = effective(read_labels(library, field, computed=True))
        return {key: found[0].value for (key, _), found in held.items()}

    return read


def _clusters(library: Library) -> dict[str, str]:
    """Numbers of clusters, with the names that were found for them."""
    groups = _labels(CLUSTER)(library)
    bases = library.query("SELECT DISTINCT base_model FROM loras")
    for kept in filter(None, (kept_clusters(library, base) for (base,) in bases)):
        for one in kept.clusters:
            # A person may have put a member elsewhere.
            own = [key for key in one.members if groups.get(key) == str(one.number)]
            groups |= dict.fromkeys(own, f"{one.number} {one.name}".rstrip())
    return groups


def _tags(library: Library, keys: set[str]) -> dict[str, str]:
    """Of each LoRA the first of its tags that is among the commonest telling ones."""
    rows = library.query("SELECT key, tags FROM loras WHERE tags != '[]'")
    tags = {key: json.loads(text) for key, text in rows if key in keys}
    counts = Counter(tag for own in tags.values() for tag in set(own))
    telling = [tag for tag, n in counts.most_common() if n <= _NEARLY_ALL * len(keys)]
    kept = set(telling[:_MAX_TAGS])
    return {
        key: next((tag for tag in own if tag in kept), "") for key, own in tags.items()
    }


def _variants(library: Library) -> dict[str, str]:
    """The base model that a file or its sidecars name: Pony and SDXL are one space."""
    rows = library.query("SELECT key, told FROM paths ORDER BY missing DESC, path DESC")
    return {key: json.loads(told).get("base_model", "") for key, told in rows}


def _folders(library: Library) -> dict[str, str]:
    rows = library.query("SELECT key, path FROM paths ORDER BY missing DESC, path DESC")
    return {key: Path(path).parent.name for key, path in rows}
