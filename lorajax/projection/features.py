"""The features of LoRAs: one short vector per module, and which modules are live."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True)
class Features:
    """Projected updates of `b` LoRAs over the `n` modules of one base model.

    Attributes:
      scores: per-module scores, zero where a module is absent and beyond a module's
        own number of components.
      mask: true where the module is live. Absent and zero updates are the same update,
        so both are false.
    """

    scores: Float[np.ndarray, "b n k"]
    mask: Bool[np.ndarray, "b n"]

    def __len__(self) -> int:
        return len(self.mask)

    def __getitem__(self, members: np.ndarray | slice) -> "Features":
        return Features(self.scores[members], self.mask[members])


def joined(parts: Sequence[Features]) -> Features:
    """The features of several collections in one, in their order."""
    return Features(
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.mask for part in parts]),
    )


def normalised(
    features: Features, how: str, lengths: Float[np.ndarray, " n"]
) -> Features:
    """Scores with every module on one scale.

    Args:
      features: of any LoRAs.
      how: `none`, `rms` (divided by the module's length in training), `unit` (length
        one) or `root` (length √share, its share of the LoRA's mean length: which
        modules are strong is kept, how strong the LoRA is, is not).
      lengths: root mean square length of each module's scores over the training set.
    """
    scores = normalised_scores(features.scores, features.mask, how, lengths)
    return Features(scores, features.mask)


def normalised_scores(
    scores: Float[Any, "b n k"],
    mask: Bool[Any, "b n"],
    how: str,
    lengths: Float[np.ndarray, " n"],
) -> Float[Any, "b n k"]:
    """`normalised` on arrays of NumPy or of JAX, which an exported graph is made of."""
    xp = scores.__array_namespace__()
    if how == "none":
        return scores
    if how == "rms":
        scale = 1.0 / np.where(lengths > 0, lengths, 1.0)
        return scores * scale[:, None].astype("f4")
    norm = xp.linalg.norm(scores, axis=-1, keepdims=True)
    unit = scores / xp.where(norm > 0, norm, 1.0)
    if how == "unit":
        return unit
    mean = (norm[..., 0] * mask).sum(1) / xp.maximum(mask.sum(1), 1)
    mean = mean[:, None, None]
    return unit * xp.sqrt(norm / xp.where(mean > 0, mean, 1.0))


def module_lengths(features: Features) -> Float[np.ndarray, " n"]:
    """Root mean square length of each module's scores over the LoRAs that have it."""
    energy = (features.scores.astype("f8") ** 2).sum((0, 2))
    return np.sqrt(energy / np.maximum(features.mask.sum(0), 1)).astype("f4")


def flattened(features: Features) -> Float[np.ndarray, "b d"]:
    """All modules side by side, length one: the geometry before any learning.

    The cosine of two such vectors is the mean of the modules' inner products.
    """
    flat = features.scores.reshape(len(features), -1)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.where(norm > 0, norm, 1.0)
