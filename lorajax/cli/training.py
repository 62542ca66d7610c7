"""`lorajax train`, `evaluate` and `export`: from a configuration to a bundle."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lorajax.cli.output import (
    failing_politely,
    note,
    print_json,
    print_table,
    say,
    showing_progress,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


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
    from lorajax.service import training

    with failing_politely(), showing_progress() as on_progress:
        report = training.train(config, overrides or [], on_progress)
    if as_json:
        print_json({"run": str(report.path), **report.results})
        return
    print_results(report.path, report.results, report.notes)


def evaluate(
    path: Annotated[Path, typer.Argument(help="A run's folder.")], as_json: Json = False
) -> None:
    """Show what a run measured on styles it never saw."""
    from lorajax.service import evaluating

    with failing_politely():
        results = evaluating.evaluate(path)
    if as_json:
        print_json(results)
        return
    print_results(path, results, ())


def export(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    folder: Annotated[Path, typer.Argument(help="Where the bundle goes.")],
    as_json: Json = False,
) -> None:
    """Export a run as a bundle for inference."""
    from lorajax.service import evaluating

    with failing_politely():
        written = evaluating.export(run, folder)
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
        metrics = [name for name in rows[0] if name != "method"]
        say(
            f"On {results['split']} that neither training nor selection saw, mean ± "
            f"standard deviation over {results['splits']} splits:",
            "bold",
        )
        table = [[row["method"], *(_cell(row, m) for m in metrics)] for row in rows]
        print_table(["method", *metrics], table, set(metrics))
    elif "evaluation_note" in results:
        say(results["evaluation_note"])
    say(f"run: {path}")
    note(f"next: lorajax export {path} DIR")


def _cell(row: dict[str, Any], metric: str) -> str:
    value = row.get(metric)
    return f"{value['mean']:.3f} ± {value['std']:.3f}" if value else "–"
