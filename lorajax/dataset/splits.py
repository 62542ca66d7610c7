"""Splits: what is trained on, what selects, and what neither ever saw."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from lorajax.config.evaluation import EvaluationSettings
from lorajax.dataset.supervision import Supervision
from lorajax.errors import DatasetError

# Two styles to select on, two to test on and two to learn from are the least.
MIN_LABELS = 6
MIN_LORAS = 12


@dataclass(frozen=True)
class Split:
    """Indices of a collection; the three parts share neither LoRAs nor styles."""

    train: Int[np.ndarray, " a"]
    validation: Int[np.ndarray, " b"]
    test: Int[np.ndarray, " c"]


def make_split(
    supervision: Supervision, settings: EvaluationSettings, seed: int
) -> Split | None:
    """A seeded split by style; None where there are too few styles to hold any out.

    LoRAs without a label are trained on, since the basis may learn from them. Where no
    style is known, as with triplets, rankings and bare pictures, LoRAs themselves are
    split.
    """
    rng = np.random.default_rng([seed, 1])
    count = len(supervision.labels)
    if supervision.kind != "none" and not supervision.has_labels:
        alone = [[int(i)] for i in np.flatnonzero(supervision.known)]
        if len(alone) < MIN_LORAS:
            return None
        return _parts(alone, count, settings, rng)
    groups = list(supervision.usable_labels.values())
    if len(groups) < MIN_LABELS:
        return None
    return _parts(groups, count, settings, rng)


def make_fixed_split(
    supervision: Supervision,
    test: Int[np.ndarray, " c"],
    settings: EvaluationSettings,
    seed: int,
) -> Split:
    """A split whose test LoRAs are given; the seed chooses what selects.

    Other LoRAs of the test's styles are in no part.

    Raises:
      DatasetError: where fewer than two styles, or nothing, is left to learn from.
    """
    rng = np.random.default_rng([seed, 1])
    tested = {supervision.labels[i] for i in test} - {None}
    own = np.array([label in tested for label in supervision.labels], bool)
    own[test] = True
    left = np.flatnonzero(~own)
    if supervision.kind != "none" and not supervision.has_labels:
        groups = [[int(i)] for i in left if supervision.known[i]]
    else:
        groups = [g for k, g in supervision.usable_labels.items() if k not in tested]
    validation = max(2, round(settings.validation * len(groups)))
    if len(groups) < validation + 2:
        raise DatasetError(
            f"expected styles to learn from beside the {len(test)} test LoRAs, found "
            f"{len(groups)}",
            "evaluation.test_ids must leave LoRAs of other styles",
        )
    chosen = rng.permutation(len(groups))[:validation]
    selects = np.sort(np.concatenate([groups[g] for g in chosen])).astype(np.int64)
    return Split(np.setdiff1d(left, selects), selects, np.sort(test))


def only(split: Split, usable: Bool[np.ndarray, " b"]) -> Split:
    """The split without the LoRAs that cannot be embedded."""
    parts = (split.train, split.validation, split.test)
    return Split(*(part[usable[part]] for part in parts))


def everything(count: int) -> Split:
    """All LoRAs in training and nothing held out."""
    nothing = np.zeros(0, np.int64)
    return Split(np.arange(count), nothing, nothing)


def _parts(
    groups: list[list[int]],
    count: int,
    settings: EvaluationSettings,
    rng: np.random.Generator,
) -> Split:
    order = rng.permutation(len(groups))
    test = max(2, round(settings.test * len(groups)))
    validation = max(2, round(settings.validation * len(groups)))
    held_out = [
        np.sort(np.concatenate([groups[g] for g in part])).astype(np.int64)
        for part in (order[:test], order[test : test + validation])
    ]
    train = np.setdiff1d(np.arange(count), np.concatenate(held_out))
    return Split(train=train, validation=held_out[1], test=held_out[0])
