"""The groups of a collection: found, named, numbered and kept in the library.

One base model's current space at a time. Copies of one update count once. A cluster
keeps its number from run to run, and over a change of the space, as long as half of it
stays together; numbers of clusters that dissolved are not given again. The members are
labels of the source `cluster`, the rest is a note of the library.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float, Int

from lorajax.library.clusters.density import MIN_SIZE, cluster
from lorajax.library.clusters.names import NamingWord, cluster_name, naming_words
from lorajax.library.labels import (
    CLUSTER,
    TAG,
    Label,
    effective,
    read_labels,
    write_labels,
)
from lorajax.library.same_work import update_groups
from lorajax.library.store import Library

_NAMING_FIELDS = (TAG, "style", "character", "category", "folder")
# Members of an old cluster that must be in a new one for it to keep the number.
_STAYS = 0.5
_DIGITS = 4
_DROP = """
DELETE FROM labels WHERE source = ? AND key IN (
  SELECT key FROM loras WHERE base_model = ?
)
"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A group of like LoRAs.

    Attributes:
      number: from 1 on, the same from run to run; unique within a base model.
      name: words that stand out in it, "" where none does.
      size: LoRAs, copies included; `updates` without them.
      cohesion: mean cosine of its updates to their common direction.
      medoid: the content key of the LoRA that is most like all others.
      members: content keys, those that belong to it most firmly first.
    """

    number: int
    name: str
    words: tuple[NamingWord, ...]
    size: int
    updates: int
    cohesion: float
    medoid: str
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Clusters:
    """All groups of one base model, the largest first.

    Attributes:
      loras, updates: how many were grouped, with and without copies.
      without: updates in no cluster.
    """

    base_model: str
    space: str
    min_size: int
    loras: int
    updates: int
    without: int
    clusters: tuple[Cluster, ...]


def find_clusters(
    library: Library, base_model: str, space: str, min_size: int = MIN_SIZE
) -> Clusters:
    """Groups the LoRAs of a base model and keeps the result.

    Raises:
      LibraryError: where the space holds no vector.
    """
    keys, rows = library.unit_rows(space)
    groups = update_groups(library, keys)
    _, firsts = np.unique(groups, return_index=True)
    vectors = rows[firsts]
    found, firmness = cluster(vectors, min_size)
    numbers, last = _numbers(library, base_model, keys, found[groups])
    words = _words(library, [keys[first] for first in firsts])
    naming = naming_words(words, found.tolist())
    clusters = [
        _cluster(
            *(place, number, keys, groups, vectors, found, firmness, firsts),
            naming.get(place, ()),
        )
        for place, number in numbers.items()
    ]
    clusters.sort(key=lambda one: (-one.size, one.number))
    result = Clusters(
        *(base_model, space, min_size, len(keys), len(firsts)),
        *(int((found < 0).sum()), tuple(clusters)),
    )
    sure = dict(zip(keys, firmness[groups].tolist(), strict=True))
    _keep(library, result, sure, last)
    return result


def kept_clusters(library: Library, base_model: str) -> Clusters | None:
    """The groups as they were last found; None where nobody has looked for them."""
    text = library.get_meta(_note(base_model))
    if text is None:
        return None
    document = json.loads(text)
    document.pop("last")
    members: dict[str, list[Label]] = {}
    of_base = {key for key, (_, base) in library.tiers().items() if base == base_model}
    for label in read_labels(library, CLUSTER, of_base, computed=True):
        members.setdefault(label.value, []).append(label)
    clusters = []
    for one in document.pop("clusters"):
        own = sorted(members.get(str(one["number"]), ()), key=_firmest)
        one["words"] = tuple(NamingWord(**word) for word in one["words"])
        one["members"] = tuple(label.key for label in own)
        clusters.append(Cluster(**one))
    return Clusters(**document, clusters=tuple(clusters))


def _cluster(
    place: int,
    number: int,
    keys: Sequence[str],
    groups: Int[np.ndarray, " n"],
    vectors: Float[np.ndarray, "u e"],
    found: Int[np.ndarray, " u"],
    firmness: Float[np.ndarray, " u"],
    firsts: Int[np.ndarray, " u"],
    words: tuple[NamingWord, ...],
) -> Cluster:
    own = np.flatnonzero(found == place)
    mean = vectors[own].mean(0)
    typical = vectors[own] @ (mean / max(float(np.linalg.norm(mean)), 1e-12))
    medoid = int(own[np.argmax(typical)])
    chosen = set(own.tolist())
    members = [i for i in range(len(keys)) if int(groups[i]) in chosen]
    firm = np.round(firmness[groups], _DIGITS)
    members.sort(key=lambda i: (-float(firm[i]), keys[i]))
    return Cluster(
        number=number,
        name=cluster_name(words),
        words=words,
        size=len(members),
        updates=len(own),
        cohesion=float(typical.mean()),
        medoid=keys[int(firsts[medoid])],
        members=tuple(keys[i] for i in members),
    )


def _words(library: Library, keys: Sequence[str]) -> list[frozenset[str]]:
    """What is said of each LoRA that may name a cluster."""
    words: dict[str, set[str]] = {key: set() for key in keys}
    for (key, field), held in effective(read_labels(library)).items():
        if key in words and field in _NAMING_FIELDS:
            words[key].update(label.value.casefold() for label in held)
    return [frozenset(words[key]) for key in keys]


def _numbers(
    library: Library, base_model: str, keys: Sequence[str], found: Int[np.ndarray, " n"]
) -> tuple[dict[int, int], int]:
    """Place of each cluster found → its lasting number, and the last number given."""
    note = json.loads(library.get_meta(_note(base_model)) or '{"last": 0}')
    before = {
        label.key: int(label.value)
        for label in read_labels(library, CLUSTER, computed=True)
    }
    old_sizes = Counter(before[key] for key in keys if key in before)
    shared = Counter(
        (before[key], int(place))
        for key, place in zip(keys, found, strict=True)
        if place >= 0 and key in before
    )
    given: dict[int, int] = {}
    for (number, place), count in sorted(shared.items(), key=lambda x: (-x[1], x[0])):
        stays = count >= _STAYS * old_sizes[number]
        if stays and place not in given and number not in given.values():
            given[place] = number
    last = int(note["last"])
    sizes = Counter(int(place) for place in found if place >= 0)
    for place, _ in sizes.most_common():
        if place not in given:
            last += 1
            given[place] = last
    return given, last


def _keep(
    library: Library, result: Clusters, firmness: dict[str, float], last: int
) -> None:
    document = asdict(result)
    for one in document["clusters"]:
        one.pop("members")
    rows = [
        Label(key, CLUSTER, str(one.number), CLUSTER, round(firmness[key], _DIGITS))
        for one in result.clusters
        for key in one.members
    ]
    with library.transaction():
        library.execute(_DROP, CLUSTER, result.base_model)
        write_labels(library, rows)
        note = json.dumps({**document, "last": last}, ensure_ascii=False)
        library.set_meta(_note(result.base_model), note)


def _note(base_model: str) -> str:
    return f"clusters:{base_model}"


def _firmest(label: Label) -> tuple[float, str]:
    return -(label.confidence or 0.0), label.key
