"""Supervision by what LoRAs do: a rendered behaviour set as the teacher."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from lorajax.dataset.supervision import Supervision
from lorajax.formats.text import clean
from lorajax.pictures.behaviour_set import HALVES, has_behaviour
from lorajax.pictures.image_encoder import ImageEncoder
from lorajax.pictures.likeness import (
    Descriptions,
    describe_set,
    similarity,
    split_half_correlation,
    split_half_noise,
)

# A triplet takes three.
MIN_PICTURED = 3
# Of a collection: a few pictures must not silence the tags of all.
MIN_SHARE = 0.5


class Behaviour(NamedTuple):
    """Likeness by pictures over both halves of the captions.

    Attributes:
      present: which LoRAs have pictures.
      teacher: over half 1, what may be learned from.
      oracle: over half 2, kept apart: what another look at the same LoRAs says.
      noise: see `split_half_noise`.
      correlation: of the two halves.
    """

    present: Bool[np.ndarray, " b"]
    teacher: Float[np.ndarray, "b b"]
    oracle: Float[np.ndarray, "b b"]
    noise: float
    correlation: float


def read_behaviour(
    folder: Path,
    names: list[str],
    reference: Bool[np.ndarray, " b"] | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Behaviour:
    """Describes and compares the pictures of the named LoRAs.

    Args:
      reference: LoRAs whose mean and spread stand for all; None for all.

    Raises:
      FormatError: for an index or a picture that is not what it should be.
    """
    return compare(describe_set(folder, names, on_progress), reference)


def compare(
    described: Descriptions, reference: Bool[np.ndarray, " b"] | None = None
) -> Behaviour:
    """Likeness of described LoRAs; see `read_behaviour`."""
    first, second = (similarity(described, half, reference) for half in HALVES)
    noise, agreement = (
        split_half_noise(first, second),
        split_half_correlation(first, second),
    )
    return Behaviour(described.present, first, second, noise, agreement)


def from_behaviour(
    folder: Path,
    names: list[str],
    labels: tuple[str | None, ...],
    labels_from: str,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    encoder: ImageEncoder | None = None,
) -> Supervision | None:
    """Half 1 of the behaviour set as the teacher; None if most LoRAs have none.

    Args:
      encoder: what describes the pictures; None for our own measures.
    """
    if not has_behaviour(folder):
        return None
    described = describe_set(folder, names, on_progress, encoder)
    found = compare(described)
    if found.present.sum() < max(MIN_PICTURED, MIN_SHARE * len(names)):
        return None
    styles = f"styles by {labels_from}" if labels_from else "no styles are known"
    by = f" by {clean(encoder.path.name, 80)}" if encoder else ""
    note = (
        f"pictures of {found.present.sum()} of {len(names)} LoRAs{by}, noise "
        f"{found.noise:.3f}, halves correlate {found.correlation:.3f}; {styles}"
    )
    teacher, noise = found.teacher, found.noise
    return Supervision("behaviour", labels, teacher, None, note, noise, described)


def as_seen_by(supervision: Supervision, train: Int[np.ndarray, " m"]) -> Supervision:
    """The teacher with the mean and spread of the training LoRAs' pictures alone.

    Other teachers compare two LoRAs without looking at any third.
    """
    if supervision.pictures is None:
        return supervision
    reference = np.isin(np.arange(len(supervision.labels)), train)
    seen = compare(supervision.pictures, reference)
    return replace(supervision, similarity=seen.teacher, noise=seen.noise)
