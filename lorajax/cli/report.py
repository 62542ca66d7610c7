"""`lorajax report`: a run or a study as one page to look at."""

from pathlib import Path
from typing import Annotated

import typer

from lorajax.cli.collection import Json
from lorajax.cli.output import failing_politely, print_json, say, showing_progress


def report(
    path: Annotated[Path, typer.Argument(help="The folder of a run or a study.")],
    out: Annotated[Path, typer.Option(help="Where the page goes.")] = Path(
        "report.html"
    ),
    against: Annotated[
        str | None, typer.Option(help="The method that others are compared with.")
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(help="Whose map and examples to show, of a study.  [the best]"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw a run or a study as one HTML page with plots and pictures."""
    from lorajax.service.learning import reporting

    with failing_politely(), showing_progress() as on_progress:
        written = reporting.report(path, out, against, run, on_progress)
    if as_json:
        print_json(written)
        return
    say(f"wrote {written['report']} ({written['bytes'] / 1e6:.1f} MB)")
