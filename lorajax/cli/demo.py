"""`lorajax demo`: the whole road once, for a newcomer."""

from pathlib import Path
from typing import Annotated

import typer

from lorajax.cli.output import failing_politely, print_table, say, showing_progress
from lorajax.cli.training import print_results


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
        style = shown.styles[found.query]
        say("")
        say(f"Nearest to {found.query}, by weights alone (its style: {style})", "bold")
        rows = [
            [
                str(match.rank),
                f"{match.similarity:.3f}",
                match.name,
                shown.styles[match.name],
                "same style" if shown.styles[match.name] == style else "",
            ]
            for match in found.matches
        ]
        print_table(["#", "similarity", "name", "style", ""], rows, {"#", "similarity"})
    say("")
    say("Try next:", "bold")
    query = shown.searches[0].matches[0].name
    say(f"  lorajax search {query} --library {shown.library}")
    say(f"  lorajax-tui --library {shown.library}")
    say("  lorajax index FOLDER-OF-YOUR-LORAS")
    say("  lorajax search NAME-OF-ONE-OF-THEM")
    say("  python -m lorajax.train configs/base.yaml collection.path=FOLDER")
