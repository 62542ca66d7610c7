"""What a method scored on each query of one split: the raw material of every test."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from lorajax.errors import CheckpointError
from lorajax.evaluation.metrics import (
    MARGIN,
    TRIPLET_METRICS,
    Metric,
    Truth,
    anchor_counts,
    mean,
    query_values,
    weights_of,
)

DIGITS = 5


@dataclass(frozen=True)
class Queries:
    """The values of one method on one split; every held-out LoRA is a query.

    Attributes:
      styles: of each query; one name is one style in all splits.
      anchors: triplets that each query is the anchor of.
      values: metric → value of each query, NaN where it has none.
    """

    styles: tuple[str, ...]
    anchors: Int[np.ndarray, " q"]
    values: Mapping[str, Float[np.ndarray, " q"]]

    def weights(self, metric: str) -> Float[np.ndarray, " q"]:
        """What each query counts: with them the mean is the one that is reported."""
        return weights_of(metric, self.values[metric], self.anchors)

    def mean(self, metric: str) -> float:
        """The value that `measure` reports."""
        return mean(self.values[metric], self.weights(metric))


def per_query(
    cosine: Float[np.ndarray, "b b"], truth: Truth, margin: float = MARGIN
) -> Queries:
    """The value of every query for all metrics that the truth allows for."""
    anchors = anchor_counts(truth.triplets, len(cosine))
    return Queries(
        _styles(truth, len(cosine)), anchors, query_values(cosine, truth, margin)
    )


def _styles(truth: Truth, count: int) -> tuple[str, ...]:
    """Names of styles; without any, a style is called after its first LoRA's place.

    Over splits such names join styles that have nothing to do with each other. That
    costs the tests power, but makes none of them wrong.
    """
    if truth.styles is not None:
        return truth.styles
    same = np.eye(count, dtype=bool)
    if truth.relevant is not None:
        same |= truth.relevant
    return tuple(f"style of LoRA {first}" for first in same.argmax(1))


Value = FiniteFloat | None
Count = Annotated[int, Field(ge=0)]


class _Document(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    styles: list[str]
    anchors: list[Count]
    values: dict[Metric, list[Value]]


def to_json(queries: Queries) -> dict[str, Any]:
    """As plain lists, rounded to 5 digits, with NaN as None."""
    return {
        "styles": list(queries.styles),
        "anchors": queries.anchors.tolist(),
        "values": {
            metric: [None if np.isnan(v) else round(v, DIGITS) for v in values.tolist()]
            for metric, values in queries.values.items()
        },
    }


def from_json(document: object) -> Queries:
    """The opposite of `to_json`, up to the rounding.

    Raises:
      CheckpointError: for anything that `to_json` does not write.
    """
    try:
        read = _Document.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise _unreadable(f"{place}: {first['msg']}") from error
    anchors = np.array(read.anchors, np.int64)
    values = {m: np.array(each, "f8") for m, each in read.values.items()}
    count = len(read.styles)
    for name, each in {"anchors": anchors, **values}.items():
        if len(each) != count:
            raise _unreadable(f"expected {count} numbers in {name}, found {len(each)}")
    for metric in set(TRIPLET_METRICS) & set(values):
        if (np.isnan(values[metric]) != (anchors == 0)).any():
            raise _unreadable(f"expected {metric} of the anchors of triplets alone")
    return Queries(tuple(read.styles), anchors, values)


def _unreadable(problem: str) -> CheckpointError:
    return CheckpointError(
        f"values per query: {problem}", "evaluate the run again to write them anew"
    )
