"""`lorajax zoo`: collections of really trained LoRAs with known truth."""

from pathlib import Path
from typing import Annotated

import typer

from lorajax.cli import zoo_lora, zoo_report
from lorajax.cli.collection import Json
from lorajax.cli.output import failing_politely, print_json, say, showing_progress

app = typer.Typer(
    help="Collections of really trained LoRAs with known truth.", no_args_is_help=True
)
zoo_lora.register(app)
zoo_report.register(app)


@app.command()
def build(
    config: Annotated[
        Path,
        typer.Argument(
            help="demo, bench, paper, scale, or a YAML file with a zoo section."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY.SUB=VALUE]...")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a collection; one that was stopped goes on where it was."""
    from lorajax.service.zoo import building as zoo

    with failing_politely(), showing_progress() as on_progress:
        count = zoo.build(config, out, overrides or [], on_progress)
    if as_json:
        print_json({"out": str(out), "n_loras": count})
    else:
        say(f"{out}: {count} LoRAs; next: lorajax index {out}")
