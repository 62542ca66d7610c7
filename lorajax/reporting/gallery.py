"""The LoRAs that a report shows: their vectors, and what is true about them."""

import json
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from lorajax.adapters.adapter import read_adapter
from lorajax.dataset.feature_folders import open_cache
from lorajax.encoder.embedder import TrainedEncoder
from lorajax.errors import CheckpointError
from lorajax.evaluation.judged import QUERIES, read_queries
from lorajax.evaluation.metrics import average_precision, cosines, ranked_relevance
from lorajax.evaluation.results import TRAINED
from lorajax.formats.scan import lora_name
from lorajax.formats.text import clean
from lorajax.projection.basis import Basis
from lorajax.projection.features import Features, joined

# What `truth_of` calls a LoRA without a style.
_NAMELESS = "(LoRA "
# More LoRAs than this are neither seen on a map nor compared in moments.
MOST, SEED = 2000, 17


@dataclass(frozen=True)
class Member:
    """A LoRA's file, and the key of its contents."""

    path: Path
    name: str
    content_key: str


@dataclass(frozen=True)
class Gallery:
    """Some LoRAs of a collection as one encoder sees them.

    Attributes:
      run: whose encoder it is, and which LoRAs.
      held_out: whether training and selection never saw them.
      styles: of each; empty where none is known.
    """

    run: str
    members: tuple[Member, ...]
    styles: tuple[str, ...]
    vectors: Float[np.ndarray, "b e"]
    held_out: bool

    def __len__(self) -> int:
        return len(self.members)

    @property
    def has_styles(self) -> bool:
        """Whether any two are known to be of one style."""
        return bool(self.relevant.any())

    @cached_property
    def relevant(self) -> Bool[np.ndarray, "b b"]:
        """Of one style."""
        names = np.array(self.styles)
        same = (names[:, None] == names[None, :]) & (names != "")[:, None]
        np.fill_diagonal(same, False)
        return same

    @cached_property
    def cosine(self) -> Float[np.ndarray, "b b"]:
        return cosines(self.vectors)

    @cached_property
    def precision(self) -> Float[np.ndarray, " b"]:
        """AP@10 of each as a query; NaN where no other is of its style."""
        return average_precision(ranked_relevance(self.cosine, self.relevant))

    def nearest(self, query: int, count: int) -> Int[np.ndarray, " _"]:
        """The most similar others, nearest first."""
        order = np.argsort(-self.cosine[query], kind="stable")
        return order[order != query][:count]


def read_members(
    run: Path, folder: Path, held_out: Sequence[str]
) -> tuple[Member, ...]:
    """The LoRAs that a run held out, or all where it held out none.

    Args:
      folder: of the run's collection.

    Raises:
      CheckpointError: where the run does not say which files they are.
    """
    try:
        listed = json.loads((run / "collection.json").read_text(encoding="utf-8"))
        every = [
            Member(folder / str(path), lora_name(str(path)), str(key))
            for path, key in listed
        ]
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{run}: expected the LoRAs of a run in collection.json, found none"
        ) from error
    if not held_out:
        return tuple(every)
    # Collections and what is held out of them are listed in one order.
    wanted = set(held_out)
    members = tuple(member for member in every if member.name in wanted)
    if [member.name for member in members] != list(held_out):
        raise CheckpointError(
            f"{run}: expected LoRAs of different names, found several files of one "
            "name among those that were held out"
        )
    return members


def look_at(
    about: str,
    run: Path,
    members: Sequence[Member],
    held_out: bool,
    model: tuple[Basis, TrainedEncoder],
    caches: Path,
) -> tuple[Gallery, Features]:
    """LoRAs as a model sees them, without those of which it sees nothing.

    Args:
      about: what to call the run.
      caches: the folder of all feature caches.

    Raises:
      LorajaxError: for LoRAs that cannot be read any more, or are not those that were
        measured.
    """
    basis, encoder = model
    features = read_features(basis, members, caches)
    seen = np.flatnonzero(features.mask.any(1))
    styles = _styles(run, len(seen)) if held_out else ("",) * len(seen)
    drawn = np.arange(len(seen))
    if len(seen) > MOST:
        drawn = np.sort(np.random.default_rng(SEED).permutation(len(seen))[:MOST])
        about = f"{about}, {MOST} of {len(seen)} drawn by a seed"
    features = features[seen[drawn]]
    gallery = Gallery(
        about,
        tuple(members[int(i)] for i in seen[drawn]),
        tuple(styles[int(i)] for i in drawn),
        encoder.embed(features),
        held_out,
    )
    return gallery, features


def _styles(run: Path, count: int) -> tuple[str, ...]:
    """Styles of the held-out LoRAs of split 0, as they were measured by."""
    judged = read_queries(run / "splits" / "0" / QUERIES)
    styles = judged[TRAINED]["styles"].styles
    if len(styles) != count:
        raise CheckpointError(
            f"{run}: expected {len(styles)} held-out LoRAs, found {count}"
        )
    return style_names(styles)


def style_names(styles: Sequence[str]) -> tuple[str, ...]:
    """Names of styles, empty where a LoRA was called after its number."""
    return tuple(
        "" if style.startswith(_NAMELESS) else clean(style) for style in styles
    )


def read_features(basis: Basis, members: Sequence[Member], caches: Path) -> Features:
    """Features in a basis: from its cache, or else from the files.

    Nothing is put into the cache, so that a report changes no later run.

    Raises:
      LorajaxError: for a file that is neither in the cache nor readable.
    """
    known = _known_features(basis, {member.content_key for member in members}, caches)
    return joined(
        [
            known.get(member.content_key) or basis.transform(read_adapter(member.path))
            for member in members
        ]
    )


def _known_features(basis: Basis, keys: Set[str], caches: Path) -> dict[str, Features]:
    """What the cache of a basis knows of some LoRAs."""
    facts, wanted = basis.facts, sorted(keys)
    if not (caches / basis.hash()).is_dir():
        return {}
    with open_cache(caches, basis.hash(), len(facts.modules), facts.width) as cache:
        missing = set(cache.missing(wanted))
        found = [key for i, key in enumerate(wanted) if i not in missing]
        features = cache.read(found)
    return {key: features[i : i + 1] for i, key in enumerate(found)}
