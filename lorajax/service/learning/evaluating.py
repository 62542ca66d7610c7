"""What runs and studies measured."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorajax.errors import CheckpointError
from lorajax.service.learning.studies import read_study

if TYPE_CHECKING:
    from lorajax.evaluation.experiments import Experiment
    from lorajax.evaluation.judged import Judged
    from lorajax.evaluation.queries import Queries

# The paper's numbers of its experiments.
NUMBERS: dict[int, "Experiment"] = {1: "tags", 2: "human", 3: "ranking"}
TRUTHS: dict["Experiment", str] = {
    "styles": "styles, and the teacher's likeness",
    "tags": "triplets by tags",
    "human": "triplets by raters",
    "ranking": "ranked candidates",
}


def evaluate(
    path: Path, experiment: int | None = None, against: str | None = None
) -> dict[str, Any]:
    """The table of a finished run, or of the finished runs of a study.

    Args:
      experiment: 1, 2 or 3 of the paper; none for the whole gallery.
      against: the method that p-values compare with; none for the unlearned features
        of a run, and for the first run of a study.

    Raises:
      CheckpointError: where nothing has finished, or nothing was measured of this
        experiment or method.
    """
    from lorajax.evaluation.judged import table_of
    from lorajax.evaluation.results import UNLEARNED
    from lorajax.export.bundle import read_results

    study = read_study(path)
    if study is None:
        results = read_results(path)
        if not results.get("rows"):
            if experiment is not None or against is not None:
                raise CheckpointError(
                    f"{path}: expected a table to show or compare, found none",
                    results.get("evaluation_note", "evaluate it without options"),
                )
            return results
        seeds = results["splits"]
        reference = against or UNLEARNED
    else:
        seeds = study["seeds"]
        results = read_results(path / study["runs"][0])
        reference = against or study["runs"][0]
    which = NUMBERS[experiment] if experiment else "styles"
    shown = [_of(split, which, path) for split in judged_splits(path)]
    if reference not in shown[0]:
        raise CheckpointError(
            f"{path}: expected one of its methods to compare with, found {reference!r}",
            f"methods: {', '.join(shown[0])}",
        )
    queries = next(iter(shown[0].values()))[which]
    facts = results if study is None else {"study": str(path), "runs": study["runs"]}
    return {
        **facts,
        "experiment": experiment or which,
        "truth": TRUTHS[which],
        "n_queries": len(queries.styles),
        "split": results["split"],
        "seeds": seeds,
        "splits": seeds,
        "against": reference,
        "rows": table_of(shown, which, reference),
    }


def judged_splits(path: Path) -> list["Judged"]:
    """What every split of a run or a study measured, method by method.

    Raises:
      CheckpointError: where nothing has finished.
    """
    from lorajax.evaluation.judged import run_splits
    from lorajax.export.bundle import read_results

    study = read_study(path)
    if study is not None:
        return _study_splits(path, study)
    return run_splits(path, read_results(path)["splits"])


def _study_splits(path: Path, study: dict[str, Any]) -> list["Judged"]:
    """Per seed the methods of all runs: the trained one by the name of its run.

    Cut vectors are told of the first run alone, and unlearned features that several
    runs share once: the more rows a table has, the less can be significant in it.
    """
    from lorajax.evaluation.judged import run_splits
    from lorajax.evaluation.results import INITIAL, TRAINED, UNLEARNED

    if not study["runs"]:
        raise CheckpointError(f"{path}: no run of this study has finished yet")
    merged: list[Judged] = [{} for _ in range(study["seeds"])]
    unlearned: list[list[dict[str, Any]]] = []
    for run in study["runs"]:
        seeds = run_splits(path / run, study["seeds"])
        left_out = {INITIAL}
        if run != study["runs"][0]:
            left_out |= {m for m in seeds[0] if m.startswith(f"{TRAINED},")}
        features = [_plain(own[UNLEARNED]) for own in seeds]
        if features in unlearned:
            left_out.add(UNLEARNED)
        unlearned.append(features)
        for all_of, own in zip(merged, seeds, strict=True):
            for method in own:
                if method in left_out:
                    continue
                all_of.setdefault(_name(run, method, TRAINED), own[method])
    return merged


def _plain(found: dict["Experiment", "Queries"]) -> dict[str, Any]:
    from lorajax.evaluation.queries import to_json

    return {name: to_json(queries) for name, queries in found.items()}


def _name(run: str, method: str, trained: str) -> str:
    if method.startswith(trained):
        return run + method.removeprefix(trained)
    return method if "_" in method or " " not in method else f"{run}: {method}"


def _of(split: "Judged", which: "Experiment", path: Path) -> "Judged":
    """The methods of which this experiment was measured."""
    found = {method: own for method, own in split.items() if which in own}
    if not found:
        raise CheckpointError(
            f"{path}: nothing was measured of {TRUTHS[which]}",
            "name the file with evaluation.tag_triplets, evaluation.human_triplets or "
            "evaluation.rankings, and run it anew",
        )
    return found
