"""`lorajax library list`, `show` and `refused`: what it holds, LoRA by LoRA."""

from typing import Annotated, Any

import typer

from lorajax.cli.collection import Json, LibraryOption
from lorajax.cli.output import failing_politely, note, print_json, print_table, say

_COLUMNS = ("name", "base_model", "family", "rank_max", "tier", "tags")
_FACTS = ("base_model", "family", "format", "dtype", "tier", "norm", "key")


def register(app: typer.Typer) -> None:
    """Adds the commands to `lorajax library`."""
    app.command("list")(list_)
    app.command()(show)
    app.command()(refused)


def list_(
    where: Annotated[
        str, typer.Option("--where", metavar="CONDITIONS", help="As of search.")
    ] = "",
    library: LibraryOption = None,
    as_json: Json = False,
) -> None:
    """List the LoRAs of the library, all or those that fit, by name."""
    from lorajax.service.likeness import library_documents

    with failing_politely():
        document = library_documents.loras_document(library, where)
    if as_json:
        print_json(document)
        return
    shown = ({**row, "tags": ", ".join(row["tags"])} for row in document["loras"])
    rows = [[str(row[name]) for name in _COLUMNS] for row in shown]
    print_table([*_COLUMNS], rows, {"rank_max"})
    note(f"{len(rows)} LoRAs")


def show(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    blocks: Annotated[
        bool, typer.Option("--blocks", help="Read its file for where it is strong.")
    ] = False,
    library: LibraryOption = None,
    as_json: Json = False,
) -> None:
    """Tell what the library knows of one LoRA, with its files and its copies."""
    from lorajax.service.likeness import library_documents

    with failing_politely():
        found = library_documents.lora_document(library, name, blocks)
    if as_json:
        print_json(found)
    else:
        _print(found)


def refused(library: LibraryOption = None, as_json: Json = False) -> None:
    """List the files that could not be read, with the reasons."""
    from lorajax.service.likeness import library_documents

    with failing_politely():
        document = library_documents.refused_document(library)
    if as_json:
        print_json(document)
        return
    for one in document["refused"]:
        say(one["path"], "bold")
        say(f"  {one['reason']}")
        say(f"  {one['hint']}", "dim")
    if not document["refused"]:
        say("none: every file could be read")


def _print(found: dict[str, Any]) -> None:
    say(found["name"], "bold")
    modules = f"{found['modules_mapped']} of {found['modules_total']}"
    rank = f"{found['rank_min']} to {found['rank_max']}"
    labels = {"tag": found["tags"], **found["holds"]}
    rows = [
        *((fact.replace("_", " "), found[fact]) for fact in _FACTS),
        *(("rank", rank), ("modules", modules), ("tags", ", ".join(labels.pop("tag")))),
        *((name.replace("_", " "), ", ".join(said)) for name, said in labels.items()),
        *(("file", path) for path in found["paths"]),
        *(("copy", f"{one['name']}  {one['path']}") for one in found["copies"]),
        *(("warning", warning) for warning in found["warnings"]),
        *((one["block"], f"{one['share']:.0%}") for one in found["blocks"]),
    ]
    for head, value in rows:
        say(f"  {head:<14} {'–' if value is None else value}")
