"""`lorajax train`, `evaluate` and `export`: from a configuration to a bundle."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lorajax.cli.collection import Json
from lorajax.cli.output import (
    failing_politely,
    note,
    print_json,
    print_table,
    say,
    showing_progress,
)
from lorajax.service.learning.exporting import Graphs

# The others are in the JSON document.
SHOWN = ("triplet_loss", "triplet_accuracy", "map@10", "mrr", "ndcg@10")
SIGNIFICANT = 0.05


def train(
    config: Annotated[Path, typer.Argument(help="A YAML file, as in configs/.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY.SUB=VALUE]...", help="Settings to change."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train an encoder: collection, features, training, evaluation, checkpoint.

    Without collection.path the demo collection is built once and kept in the cache.
    """
    from lorajax.service.learning import training

    with failing_politely(), showing_progress() as on_progress:
        report = training.train(config, overrides or [], on_progress)
    if as_json:
        print_json({"run": str(report.path), **report.results})
        return
    print_results(report.path, report.results, report.notes)


def study(
    configs: Annotated[list[Path], typer.Argument(help="YAML files, one a method.")],
    out: Annotated[Path, typer.Option(help="The folder of the study.")],
    seeds: Annotated[int, typer.Option(min=1, help="Splits, the same for all.")] = 5,
    over: Annotated[
        Path | None,
        typer.Option(help="A YAML file with settings for all, as configs/bench.yaml."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.SUB=VALUE", help="A setting for all runs."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train every configuration on the same splits; run again to go on."""
    from lorajax.service.learning import evaluating, studies

    with failing_politely(), showing_progress() as on_progress:
        found = studies.study(configs, seeds, out, overrides or [], on_progress, over)
        results = evaluating.evaluate(out)
    if as_json:
        print_json({**found, **results})
        return
    print_results(out, results, ())


def evaluate(
    path: Annotated[Path, typer.Argument(help="The folder of a run or a study.")],
    experiment: Annotated[
        int | None,
        typer.Option(
            min=1, max=3, help="The paper's: 1 tags, 2 raters, 3 ranked candidates."
        ),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="The method that p-values compare with.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a run or a study measured on styles that it never saw."""
    from lorajax.service.learning import evaluating

    with failing_politely():
        results = evaluating.evaluate(path, experiment, against)
    if as_json:
        print_json(results)
        return
    print_results(path, results, ())


def export(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    folder: Annotated[
        Path, typer.Argument(help="The bundle: a new one, or one to add a model to.")
    ],
    graph: Annotated[
        Graphs | None,
        typer.Option(help="The encoder as one graph too, for use without lorajax."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace another model of its base model.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Export a run as a bundle for inference."""
    from lorajax.service.learning import exporting

    with failing_politely():
        written = exporting.export(run, folder, graph, force)
    if as_json:
        print_json({"bundle": str(written)})
        return
    say(f"wrote {written}")
    note(f"use it: lorajax index FOLDER --model {written}")


def print_results(path: Path, results: dict[str, Any], notes: tuple[str, ...]) -> None:
    """The table of a run, or why there is none."""
    for line in notes:
        note(line)
    rows = results.get("rows") or []
    if rows:
        metrics = [name for name in SHOWN if any(name in row for row in rows)]
        say(
            f"On {results['split']} that neither training nor selection saw, mean ± "
            f"standard deviation over {results['splits']} splits:",
            "bold",
        )
        table = [[row["method"], *(_cell(row, m) for m in metrics)] for row in rows]
        print_table(["method", *metrics], table, set(metrics))
    elif "evaluation_note" in results:
        say(results["evaluation_note"])
    if "against" in results:
        note(f"* differs from '{results['against']}': p < 0.05, Holm over the table")
    if "study" not in results:
        say(f"run: {path}")
        note(f"next: lorajax export {path} DIR")


def _cell(row: dict[str, Any], metric: str) -> str:
    value = row.get(metric)
    if not value:
        return "–"
    p_value = value.get("p_value")
    star = "*" if p_value is not None and p_value < SIGNIFICANT else ""
    return f"{value['mean']:.3f} ± {value['std']:.3f}{star}"
