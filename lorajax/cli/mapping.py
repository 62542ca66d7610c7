"""`lorajax map`: the collection as places in the plane."""

from typing import Annotated

import typer

from lorajax.cli.collection import Json, LibraryOption
from lorajax.cli.output import failing_politely, print_json, print_table, say


def map_command(
    space: Annotated[
        str | None,
        typer.Option("--space", help="A space or a base model; default: the largest."),
    ] = None,
    method: Annotated[
        str, typer.Option("--method", help="pca, or umap where it is installed.")
    ] = "pca",
    by: Annotated[
        str | None,
        typer.Option("--by", help="What to group by: tag, folder, variant, a label …"),
    ] = None,
    library: LibraryOption = None,
    as_json: Json = False,
) -> None:
    """Place the LoRAs of one space in the plane, alike ones near each other."""
    from lorajax.service.likeness import grouping, mapping

    if method not in mapping.METHODS:
        raise typer.BadParameter(f"choose one of: {', '.join(mapping.METHODS)}")
    with failing_politely():
        found = mapping.map_space(library, space, method)
        groups = grouping.group_by(library, found.keys, by).of if by else None
    document = mapping.map_document(found, groups)
    if as_json:
        print_json(document)
        return
    say(f"{len(found.keys)} LoRAs of {found.space} by {found.method}:", "bold")
    if found.explained:
        first, second = found.explained
        say(f"x and y show {first:.1%} and {second:.1%} of their differences")
    rows = [
        [f"{point['x']:.4f}", f"{point['y']:.4f}", point["name"], point["group"] or ""]
        for point in document["points"]
    ]
    columns = ["x", "y", "name", by or ""]
    print_table(columns, rows, {"x", "y"})
