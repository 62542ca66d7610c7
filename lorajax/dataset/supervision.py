"""What says which LoRAs are alike, as one value whatever it came from."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from lorajax.pictures.likeness import Descriptions

Kind = Literal["triplets", "rankings", "behaviour", "tags", "folders", "none"]

# A tag on this share of the most frequent tag's pictures counts as being on all.
ALL_PICTURES = 0.95


@dataclass(frozen=True)
class Supervision:
    """The teacher of a collection of `b` LoRAs.

    Attributes:
      kind: where it was found.
      labels: the style of each LoRA, None where unknown; splits are made by label and
        retrieval counts LoRAs of one label as relevant. All None for `triplets`,
        `rankings` and `none`.
      similarity: graded likeness of all pairs; None where only triplets are known. Of
        a LoRA about which nothing is known, row and column are zero, diagonal included.
      triplets: (anchor, positive, negative) as indices, for `triplets` and `rankings`.
      note: one line for the person: what was found, and where.
      noise: how unsure a likeness is, as one standard deviation; 0 where it is exact.
      pictures: what `similarity` was computed from, where it was pictures.
    """

    kind: Kind
    labels: tuple[str | None, ...]
    similarity: Float[np.ndarray, "b b"] | None
    triplets: Int[np.ndarray, "t 3"] | None
    note: str
    noise: float = 0.0
    pictures: Descriptions | None = None

    @property
    def known(self) -> Bool[np.ndarray, " b"]:
        """The LoRAs about whose likeness anything is known."""
        if self.similarity is None:
            return np.ones(len(self.labels), bool)
        return np.diag(self.similarity) > 0

    @property
    def has_labels(self) -> bool:
        return any(label is not None for label in self.labels)

    @property
    def usable_labels(self) -> dict[str, list[int]]:
        """Labels of at least two LoRAs, with their members."""
        groups: dict[str, list[int]] = {}
        for i, label in enumerate(self.labels):
            if label is not None:
                groups.setdefault(label, []).append(i)
        return {k: groups[k] for k in sorted(groups) if len(groups[k]) >= 2}


def from_tags(tags: Sequence[Mapping[str, float]], note: str) -> Supervision:
    """Similarity is the Jaccard index of tag sets; the label is the telling tag.

    Args:
      tags: per LoRA, tag → how often it was given, in any unit.
    """
    labels = tuple(telling_tags(tags))
    similarity = jaccard([frozenset(own) for own in tags])
    return Supervision("tags", labels, similarity, None, note)


def from_labels(labels: Sequence[str | None], note: str) -> Supervision:
    """Similarity is one within a label and zero between."""
    names = np.array([label if label is not None else "" for label in labels])
    same = (names[:, None] == names[None, :]) & (names != "")[:, None]
    return Supervision("folders", tuple(labels), same.astype("f8"), None, note)


def from_triplets(
    kind: Kind, count: int, triplets: Int[np.ndarray, "t 3"], note: str
) -> Supervision:
    """Triplets as they are; nothing is known about other pairs."""
    return Supervision(kind, (None,) * count, None, triplets, note)


def unsupervised(count: int, note: str) -> Supervision:
    """Nothing says which LoRAs are alike."""
    return Supervision("none", (None,) * count, None, None, note)


def jaccard(tags: Sequence[frozenset[str]]) -> Float[np.ndarray, "b b"]:
    """|A ∩ B| / |A ∪ B| of all pairs of tag sets; zero where both are empty."""
    vocabulary = {tag: i for i, tag in enumerate(sorted(frozenset().union(*tags)))}
    present = np.zeros((len(tags), max(len(vocabulary), 1)))
    for i, own in enumerate(tags):
        present[i, [vocabulary[tag] for tag in own]] = 1.0
    both = present @ present.T
    either = present.sum(1)[:, None] + present.sum(1)[None, :] - both
    return both / np.maximum(either, 1.0)


def telling_tags(tags: Sequence[Mapping[str, float]]) -> list[str | None]:
    """The tag that names each LoRA's style.

    That is, of the tags that stand on (nearly) all of its pictures, the rarest one that
    it shares with others: a tag of a single LoRA says nothing about likeness, and one
    of more than half of the collection hardly anything. Ties go to the alphabet.
    """
    counts = Counter(tag for own in tags for tag in own)
    limit = len(tags) / 2
    labels: list[str | None] = []
    for own in tags:
        often = ALL_PICTURES * max(own.values(), default=0.0)
        shared = [t for t in own if own[t] >= often and 2 <= counts[t] <= limit]
        labels.append(min(shared, key=lambda tag: (counts[tag], tag), default=None))
    return labels
