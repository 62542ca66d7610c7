"""`lorajax explain`: why two LoRAs have their similarity."""

from typing import TYPE_CHECKING, Annotated

import typer

from lorajax.cli.collection import Json, LibraryOption, ModelOption
from lorajax.cli.output import failing_politely, print_json, print_table, say

if TYPE_CHECKING:
    from lorajax.service.likeness.explaining import Explanation, Part

_VISIBLE = 0.0005
Lora = Annotated[str, typer.Argument(metavar="NAME|FILE")]


def explain(
    first: Lora,
    second: Lora,
    space: Annotated[
        str | None,
        typer.Option("--space", help="Where to compare; default: as search does."),
    ] = None,
    library: LibraryOption = None,
    model: ModelOption = None,
    as_json: Json = False,
) -> None:
    """Say what each part of the network adds to the similarity of two LoRAs."""
    from lorajax.service.likeness import explaining
    from lorajax.service.likeness.search_documents import explanation_document

    with failing_politely():
        found = explaining.explain(library, first, second, model, space)
    if as_json:
        print_json(explanation_document(found))
    else:
        _print(found)


def _print(found: "Explanation") -> None:
    say(
        f"{found.first} and {found.second}: {found.similarity:.3f} in {found.space}",
        "bold",
    )
    columns = ["adds", "cosine", "first", "second", "modules", "part"]
    print_table(columns, [_row(group) for group in found.groups], set(columns[:-1]))
    if abs(found.rest) >= _VISIBLE:
        say(f"{found.rest:+.3f} is in no part")


def _row(group: "Part") -> list[str]:
    return [
        f"{group.contribution:+.3f}",
        "" if group.cosine is None else f"{group.cosine:.3f}",
        *(f"{share:.0%}" for share in group.shares),
        str(group.modules),
        group.name,
    ]
