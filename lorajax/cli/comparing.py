"""`lorajax compare`: two LoRAs module by module."""

from typing import Annotated

import typer

from lorajax.cli.collection import Json, LibraryOption
from lorajax.cli.output import failing_politely, print_json, print_table, say


def compare(
    first: Annotated[str, typer.Argument(metavar="NAME")],
    second: Annotated[str, typer.Argument(metavar="NAME")],
    library: LibraryOption = None,
    as_json: Json = False,
) -> None:
    """Compare two LoRAs of the library module by module."""
    from lorajax.service.likeness import comparing

    with failing_politely():
        found = comparing.compare(library, first, second)
    if as_json:
        print_json(comparing.comparison_document(found))
        return
    a, b = found.entries
    say(
        f"{a.name} and {b.name}: cosine {found.cosine:.3f} of the whole updates", "bold"
    )
    if found.mean_cosine is not None:
        say(f"mean over the modules that both change: {found.mean_cosine:.3f}")
    rows = [
        [
            *(f"{norm:.4g}" for norm in pair.norms),
            "" if pair.cosine is None else f"{pair.cosine:.3f}",
            pair.module,
        ]
        for pair in found.modules
    ]
    columns = ["first", "second", "cosine", "module"]
    print_table(columns, rows, set(columns[:3]))
