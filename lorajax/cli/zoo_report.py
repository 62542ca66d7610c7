"""`lorajax zoo report`: what a collection is worth as a benchmark."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lorajax.cli.collection import Json
from lorajax.cli.output import (
    failing_politely,
    print_json,
    print_table,
    say,
    showing_progress,
)


def register(app: typer.Typer) -> None:
    """Adds the command to `lorajax zoo`."""
    app.command()(report)


def report(
    folder: Annotated[Path, typer.Argument(help="A folder that zoo build wrote.")],
    sheet: Annotated[
        Path | None,
        typer.Option("--sheet", help="Where the picture sheet goes.  [DIR/sheet.png]"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a collection's controls on unseen styles, and draw its picture sheet."""
    from lorajax.service.zoo import building as zoo

    with failing_politely(), showing_progress() as on_progress:
        facts = zoo.report(folder, sheet, on_progress)
    if as_json:
        print_json(facts)
    else:
        _print_report(facts)


def _print_report(facts: dict[str, Any]) -> None:
    """How large it is, then a row for each control."""
    half, triplets = facts["split_half"], facts["n_triplets"]
    say(
        f"{facts['n_loras']} LoRAs of {facts['n_styles']} styles; unseen styles: "
        f"{facts['n_test_loras']} LoRAs of {facts['n_test_styles']}, "
        f"{triplets['behaviour']} triplets by behaviour, {triplets['tags']} by tags"
    )
    if half["noise"] is not None:
        say(
            f"pictures: noise of a likeness {half['noise']:.3f}, "
            f"halves correlate {_shown(half['correlation'])}"
        )
    accuracy, style_map = facts["triplet_accuracy"], facts["style_map_at_10"]
    columns = ["control", "behaviour triplets", "tag triplets", "style MAP@10"]
    rows = [
        [
            name,
            *map(_shown, (accuracy["behaviour"][name], accuracy["tags"][name], value)),
        ]
        for name, value in style_map.items()
    ]
    print_table(columns, rows, set(columns[1:]))
    if facts["sheet"]:
        say(f"pictures of styles x captions: {facts['sheet']}")


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
