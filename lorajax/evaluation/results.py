"""The table of a run: methods × metrics, mean and spread over splits."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from lorajax.config.evaluation import EvaluationSettings
from lorajax.dataset.mining import triplets_among
from lorajax.dataset.supervision import Supervision
from lorajax.errors import CheckpointError
from lorajax.evaluation.metrics import METRICS, Truth
from lorajax.evaluation.queries import Queries
from lorajax.evaluation.significance import FLIPS, holm, pair, sign_flip

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
    labels = [supervision.labels[i] for i in members]
    styles = tuple(
        label or f"(LoRA {i})" for i, label in zip(members, labels, strict=True)
    )
    if supervision.similarity is None:
        return Truth(None, None, triplets, styles)
    similarity = supervision.similarity[np.ix_(members, members)]
    if not supervision.has_labels:
        return Truth(None, similarity, triplets, styles)
    names = np.array([label or "" for label in labels])
    relevant = (names[:, None] == names[None, :]) & (names != "")[:, None]
    np.fill_diagonal(relevant, False)
    return Truth(relevant, similarity, triplets, styles)


@dataclass(frozen=True)
class Against:
    """What the p-values of a table are computed from.

    Attributes:
      reference: the method that all others are compared with.
      queries: method → values per query, one mapping for each split of the table.
      seed: of the sign flips, which are the same ones for all methods and metrics.
    """

    reference: str
    queries: Sequence[Mapping[str, Queries]]
    seed: int
    resamples: int = FLIPS


def table(
    splits: Sequence[Mapping[str, Mapping[str, float]]], against: Against | None = None
) -> list[dict[str, Any]]:
    """Rows `{method, <metric>: {mean, std}}` over splits of {method: {metric: value}}.

    The spread is the standard deviation over splits, 0 for a single one. A metric
    that no split could measure is left out.

    With `against`, every metric that is made of queries also has `p_value`, adjusted by
    Holm over all methods of the table; it is None for the reference itself.

    Raises:
      CheckpointError: where `against` has other methods, splits or queries.
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
    if against is not None:
        _check(against, [row["method"] for row in rows], len(splits))
        for metric in METRICS:
            _add_p_values(rows, metric, against)
    return rows


def _check(against: Against, methods: Sequence[str], splits: int) -> None:
    if len(against.queries) != splits:
        raise CheckpointError(
            f"expected values per query of {splits} splits, "
            f"found {len(against.queries)}",
            "evaluate the runs again",
        )
    for method in (against.reference, *methods):
        if method not in methods or any(method not in own for own in against.queries):
            raise CheckpointError(
                f"no values per query to compare {method!r} by; "
                f"methods: {', '.join(methods)}",
                "evaluate the runs again, or name one of these methods as reference",
            )


def _add_p_values(rows: list[dict[str, Any]], metric: str, against: Against) -> None:
    """Adds `p_value` to every row that has the metric, in place."""
    measured = [row for row in rows if metric in row]
    others = [row for row in measured if row["method"] != against.reference]
    if not others or len(others) == len(measured):
        return
    reference = [split[against.reference] for split in against.queries]
    p_values = []
    for row in others:
        own = [split[row["method"]] for split in against.queries]
        rng = np.random.default_rng([against.seed, 6])
        paired = pair(own, reference, metric)
        p_values.append(sign_flip(paired, rng, against.resamples))
    for row in measured:
        row[metric]["p_value"] = None
    for row, p_value in zip(others, holm(np.array(p_values)), strict=True):
        row[metric]["p_value"] = round(float(p_value), 5)
