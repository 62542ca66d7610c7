"""What all methods of a split scored: written once, and made into tables later."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from lorajax.errors import CheckpointError
from lorajax.evaluation.experiments import EXPERIMENTS, Experiment
from lorajax.evaluation.queries import Queries, from_json, to_json
from lorajax.evaluation.results import Against, table

QUERIES = "queries.json"
# Method → experiment → the values of its queries.
Judged = dict[str, dict[Experiment, Queries]]


def write_queries(path: Path, judged: Judged) -> None:
    """Writes one split, complete or not at all."""
    document = {
        method: {experiment: to_json(found) for experiment, found in own.items()}
        for method, own in judged.items()
    }
    part = path.with_suffix(".part")
    part.write_text(json.dumps(document, separators=(",", ":")), encoding="utf-8")
    part.replace(path)


def read_queries(path: Path) -> Judged:
    """The opposite of `write_queries`, up to its rounding.

    Raises:
      CheckpointError: for a file that it did not write.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {
            method: {_known(name): from_json(found) for name, found in own.items()}
            for method, own in document.items()
        }
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{path}: expected the values of a split, found none ({error})",
            "remove the file and resume the run: it is measured again",
        ) from error


def run_splits(run: Path, count: int) -> list[Judged]:
    """What all splits of a run scored."""
    return [read_queries(run / "splits" / str(i) / QUERIES) for i in range(count)]


def styles_of(judged: Judged) -> dict[str, dict[str, float]]:
    """Method → metric → mean over the queries of the whole gallery."""
    return means(judged, "styles")


def means(judged: Judged, experiment: Experiment) -> dict[str, dict[str, float]]:
    """Method → metric → what it reports in one experiment."""
    return {
        method: {
            metric: own[experiment].mean(metric) for metric in own[experiment].values
        }
        for method, own in judged.items()
        if experiment in own
    }


def summary(splits: Sequence[Judged]) -> list[dict[str, Any]]:
    """Per seed: experiment → method → metric → mean, small enough to be kept."""
    return [
        {
            experiment: {
                method: {name: round(value, 4) for name, value in found.items()}
                for method, found in means(judged, experiment).items()
            }
            for experiment in EXPERIMENTS
            if any(experiment in own for own in judged.values())
        }
        for judged in splits
    ]


def table_of(
    splits: Sequence[Judged], experiment: Experiment, reference: str | None
) -> list[dict[str, Any]]:
    """Rows of methods with mean, spread and, against a reference, p-values."""
    values = [means(judged, experiment) for judged in splits]
    against = None
    if reference is not None:
        queries = [
            {method: own[experiment] for method, own in judged.items()}
            for judged in splits
        ]
        against = Against(reference, queries, seed=0)
    return table(values, against)


def cut_to(
    sizes: Sequence[int],
    learned: Float[np.ndarray, "t e"],
    vectors: Float[np.ndarray, "b e"],
) -> Iterator[tuple[int, Float[np.ndarray, "b _"]]]:
    """Vectors in their first principal directions over those that were learned from.

    The mean stays, since cosines are taken from the origin.
    """
    _, _, directions = np.linalg.svd(learned, full_matrices=False)
    for size in sizes:
        if size <= len(directions):
            yield size, vectors @ directions[:size].T


def _known(name: str) -> Experiment:
    for experiment in EXPERIMENTS:
        if name == experiment:
            return experiment
    raise ValueError(f"no experiment is called {name!r}")
