"""The command `lorajax`; every subcommand calls the service and prints its answer."""

from typing import Annotated

import typer

from lorajax import __version__
from lorajax.cli import (
    classifying,
    collection,
    comparing,
    converting,
    demo,
    duplicates,
    explaining,
    labels,
    library,
    mapping,
    report,
    runs,
    searching,
    training,
    triplets,
    zoo,
)

app = typer.Typer(
    help="Know any LoRA by its weights: search, compare and embed collections.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(demo.demo)
app.command()(training.train)
app.command()(training.study)
app.command()(training.evaluate)
app.command()(report.report)
app.command()(training.export)
app.command()(collection.inspect)
app.command()(collection.index)
app.command()(searching.search)
app.command()(collection.embed)
app.command()(duplicates.duplicates)
app.command()(converting.convert)
app.command()(labels.label)
app.command()(classifying.clusters)
app.command()(classifying.classify)
app.add_typer(labels.app, name="labels")
app.add_typer(library.app, name="library")
app.command()(comparing.compare)
app.command()(explaining.explain)
app.command("map")(mapping.map_command)
app.add_typer(triplets.app, name="triplets")
app.add_typer(runs.app, name="runs")
app.add_typer(zoo.app, name="zoo")


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def callback(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Know any LoRA by its weights: search, compare and embed collections."""


def main() -> None:
    """Entry point of the console script."""
    app()
