"""`lorajax label` and `labels`: what LoRAs are said to be, read, written, exchanged."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from lorajax.cli.collection import Json, LibraryOption
from lorajax.cli.output import (
    failing_politely,
    note,
    print_json,
    say,
    showing_progress,
)

app = typer.Typer(
    help="Bring labels in and out: tables, sidecars of other programs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
MAX_CHANGES, MAX_REFUSED, SHOWN_VALUES = 3, 10, 8
_ASSIGNMENT = re.compile(r"[a-z][a-z0-9_]*=")


def label(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...] [FIELD=VALUE...]"),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option("--remove", metavar="FIELD[=VALUE]", help="Take your word back."),
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take the last change back.")
    ] = False,
    library: LibraryOption = None,
    as_json: Json = False,
) -> None:
    """Say what LoRAs are, or show it; your word wins. FIELD= says: none of them."""
    from lorajax.service.labels import label_documents, labelling

    given = words or []
    names = [word for word in given if not _ASSIGNMENT.match(word)]
    said = [word for word in given if _ASSIGNMENT.match(word)]
    if undo and (given or remove):
        raise typer.BadParameter("--undo stands alone")
    if (said or remove) and not names:
        raise typer.BadParameter("name the LoRAs to label")
    with failing_politely():
        if undo:
            _print_undone(labelling.take_back(library), as_json)
            return
        if said or remove:
            pairs = labelling.parse_words(said)
            gone = [_removal(word) for word in remove or ()]
            found = labelling.change(library, names, pairs, gone)
        else:
            found = labelling.labelled(library, names)
    if as_json:
        print_json(label_documents.labels_document(found))
        return
    for one in found:
        say(one.name, "bold")
        for field, values in one.holds.items():
            sources = sorted({w.source for w in one.labels if w.field == field})
            more = f" and {len(values) - SHOWN_VALUES} more"
            shown = ", ".join(values[:SHOWN_VALUES])
            shown += more if len(values) > SHOWN_VALUES else ""
            say(f"  {field:<14} {shown}  ({', '.join(sources)})")
    if not found:
        note("nothing is labelled yet: lorajax label NAME field=value")


@app.command("export")
def export_table(
    out: Annotated[Path, typer.Argument(metavar="X.{csv,jsonl,parquet}")],
    vectors: Annotated[
        bool, typer.Option("--vectors", help="With the vectors; not to a CSV.")
    ] = False,
    library: LibraryOption = None,
    as_json: Json = False,
) -> None:
    """Write the collection as a table: facts, labels, clusters, paths."""
    from lorajax.service.labels import label_tables

    with failing_politely():
        count = label_tables.export_collection(out, library, vectors)
    if as_json:
        print_json({"out": str(out), "count": count})
    else:
        say(f"wrote {count} LoRAs to {out}")


@app.command("import")
def import_labels(
    table: Annotated[Path | None, typer.Argument(metavar="[X.{csv,jsonl}]")] = None,
    library: LibraryOption = None,
    as_json: Json = False,
) -> None:
    """Take labels from a table as your words; without one, read all sidecars anew."""
    from lorajax.service.labels import label_tables, sidecar_exchange

    with failing_politely(), showing_progress() as on_progress:
        if table is None:
            found = sidecar_exchange.import_sidecars(library, on_progress)
        else:
            found = label_tables.import_table(table, library)
    if as_json:
        print_json(vars(found))
        return
    say(f"{found.labels} labels of {found.loras} LoRAs")
    if found.passed_over:
        note(f"no fields, passed over: {', '.join(found.passed_over)}")
    if found.unknown:
        note(f"{len(found.unknown)} rows name no LoRA here, such as {found.unknown[0]}")


@app.command("sidecars")
def sidecars(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]")] = None,
    to: Annotated[
        str,
        typer.Option("--to", help=".metadata.json, .civitai.info or .json"),
    ] = ".metadata.json",
    write: Annotated[
        bool, typer.Option("--write", help="Write; otherwise it is only shown.")
    ] = False,
    library: LibraryOption = None,
    as_json: Json = False,
) -> None:
    """Merge your labels and results into other programs' files beside the LoRAs."""
    from lorajax.service.labels import sidecar_exchange as service

    with failing_politely():
        found = service.write_sidecars(names or [], library, to, write)
    document = service.sidecars_document(found)
    if as_json:
        print_json(document)
    else:
        _print_sidecars(document)
    if names and found.refused:
        raise typer.Exit(1)


@app.command("derive")
def derive(
    again: Annotated[
        bool, typer.Option("--again", help="Derive anew what was derived before.")
    ] = False,
    library: LibraryOption = None,
    as_json: Json = False,
) -> None:
    """Label LoRAs by their tags, declared base models and folders."""
    from lorajax.service.labels import labelling

    with failing_politely():
        count = labelling.derive(library, again)
    if as_json:
        print_json({"labels": count})
    else:
        say(f"{count} new labels")


def _removal(word: str) -> tuple[str, str | None]:
    field, equals, value = word.partition("=")
    return field, value if equals else None


def _print_undone(change: Any, as_json: bool) -> None:
    rows = {
        name: [vars_of(one) for one in getattr(change, name, ())]
        for name in ("removed", "added")
    }
    if as_json:
        print_json({"undone": change is not None, **rows})
    elif change is None:
        note("there is nothing to undo")
    else:
        say(f"undone: {len(rows['removed'])} labels gone, {len(rows['added'])} back")


def vars_of(label: Any) -> dict[str, Any]:
    return {name: getattr(label, name) for name in ("key", "field", "value", "source")}


def _print_sidecars(document: dict[str, Any]) -> None:
    for one in document["sidecars"]:
        say(one["path"], "bold")
        for change in one["changes"][:MAX_CHANGES]:
            say(f"  {change}")
        if len(one["changes"]) > MAX_CHANGES:
            say(f"  and {len(one['changes']) - MAX_CHANGES} more")
    for refusal in document["refused"][:MAX_REFUSED]:
        note(f"refused {refusal['reason']}", "red")
    count = len(document["sidecars"])
    if document["written"]:
        say(f"wrote {count} sidecars; the first time, X.bak keeps what was there")
    else:
        say(f"would write {count} sidecars, {document['unchanged']} say it already")
        if count:
            note("nothing was written: add --write")
