"""`lorajax convert`: one LoRA in another trainer's naming."""

from pathlib import Path
from typing import Annotated

import typer

from lorajax.cli.collection import Json
from lorajax.cli.output import failing_politely, note, print_json, say
from lorajax.service.collection.converting import Target

MOST_SHOWN = 8


def convert(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    to: Annotated[Target, typer.Option("--to", help="The naming to write.")],
    out: Annotated[
        Path,
        typer.Option("--out", help="New file; for peft a folder as well."),
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Replace what has this name already.")
    ] = False,
    drop_side: Annotated[
        bool,
        typer.Option("--drop-side", help="Leave out tensors that are no LoRA's."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the same update in another trainer's naming, to a new file."""
    from lorajax.service.collection import converting

    with failing_politely():
        written = converting.convert(file, to, out, force, drop_side)
    if as_json:
        print_json(written)
    else:
        say(
            f"wrote {written['modules']} modules of {written['base_model']} in "
            f"{written['tensors']} tensors, {written['bytes']:,} bytes, to "
            f"{written['out']}"
        )
        parts = [f"{written[how]} {how}" for how in ("renamed", "cut", "stacked")]
        say(f"  from {written['source_format']}'s naming: {', '.join(parts)}", "dim")
    if dropped := written["dropped_side"]:
        more = "" if len(dropped) <= MOST_SHOWN else " and more"
        note(
            f"left out {len(dropped)} tensors: {', '.join(dropped[:MOST_SHOWN])}{more}"
        )
