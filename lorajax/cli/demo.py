"""`lorajax demo`: the whole road once, for a newcomer."""

from pathlib import Path
from typing import Annotated

import typer

from lorajax.cli.output import failing_politely, print_table, say, showing_progress
from lorajax.cli.training import print_results
from lorajax.service.commands import place_of_commands


def demo(
    config: Annotated[Path, typer.Argument()] = Path("configs/base.yaml"),
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY.SUB=VALUE]...")
    ] = None,
) -> None:
    """Train demo LoRAs and an encoder, index them, and run three searches."""
    from lorajax.service import demo as service

    with failing_politely(), showing_progress() as on_progress:
        shown = service.run_demo(config, overrides or [], on_progress)
    say("")
    print_results(shown.report.path, shown.report.results, shown.report.notes)
    for found in shown.searches:
        own = shown.truth[found.query]
        say("")
        say(f"Nearest to {found.query}, by weights alone", "bold")
        say(f"its true style, held out of training: {own.style} ({own.attributes})")
        rows = [
            [
                str(match.rank),
                f"{match.similarity:.3f}",
                match.name,
                shown.truth[match.name].style,
                shown.truth[match.name].attributes,
                "same style" if shown.truth[match.name].style == own.style else "",
            ]
            for match in found.matches
        ]
        print_table(
            ["#", "similarity", "name", "true style", "made of", ""],
            rows,
            {"#", "similarity"},
        )
    say("")
    say("Try next:", "bold")
    query = shown.searches[0].matches[0].name
    place = place_of_commands()
    for command in (
        f"lorajax search {query} --library {shown.library}",
        f"lorajax-tui --library {shown.library}",
        "lorajax index FOLDER-OF-YOUR-LORAS",
        "lorajax search NAME-OF-ONE-OF-THEM",
        "lorajax train configs/base.yaml collection.path=FOLDER "
        "features.projection=sketch_pca",
    ):
        say(f"  {place}{command}")
