"""The table of a run: methods × metrics, mean and spread over splits."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from lorajax.config.evaluation import EvaluationSettings
from lorajax.dataset.mining import triplets_among
from lorajax.dataset.supervision import Supervision
from lorajax.evaluation.metrics import Truth

UNLEARNED = "unlearned features"
INITIAL = "encoder at initialisation"
TRAINED = "encoder trained"
METHODS = (UNLEARNED, INITIAL, TRAINED)


def truth_of(
    supervision: Supervision,
    members: Int[np.ndarray, " m"],
    settings: EvaluationSettings,
    seed: int,
) -> Truth:
    """The truth about held-out LoRAs: one seed, one set of triplets for all methods."""
    rng = np.random.default_rng([seed, 5])
    triplets = triplets_among(
        supervision, members, settings.triplets, settings.mixture, rng
    )
    if supervision.similarity is None:
        return Truth(None, None, triplets)
    similarity = supervision.similarity[np.ix_(members, members)]
    if not supervision.has_labels:
        return Truth(None, similarity, triplets)
    names = np.array([supervision.labels[i] or "" for i in members])
    relevant = (names[:, None] == names[None, :]) & (names != "")[:, None]
    np.fill_diagonal(relevant, False)
    return Truth(relevant, similarity, triplets)


def table(splits: Sequence[Mapping[str, Mapping[str, float]]]) -> list[dict[str, Any]]:
    """Rows `{method, <metric>: {mean, std}}` over splits of {method: {metric: value}}.

    The spread is the standard deviation over splits, 0 for a single one. A metric
    that no split could measure is left out.
    """
    rows: list[dict[str, Any]] = []
    for method in splits[0]:
        row: dict[str, Any] = {"method": method}
        for metric in splits[0][method]:
            values = [split[method][metric] for split in splits]
            values = [v for v in values if v is not None and not math.isnan(v)]
            if values:
                mean, std = float(np.mean(values)), float(np.std(values))
                row[metric] = {"mean": round(mean, 4), "std": round(std, 4)}
        rows.append(row)
    return rows
