"""`lorajax library`: what it holds, whether it is whole, its index, what to forget."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lorajax.cli import library_contents
from lorajax.cli.collection import Json, LibraryOption
from lorajax.cli.output import (
    failing_politely,
    note,
    print_json,
    say,
    showing_progress,
)

app = typer.Typer(
    help="Look after the library: what it holds, whether it is whole.",
    no_args_is_help=True,
)
library_contents.register(app)


@app.command()
def info(library: LibraryOption = None, as_json: Json = False) -> None:
    """Tell what the library holds: counts, spaces, size on disk, versions."""
    from lorajax.service.collection import keeping

    with failing_politely():
        found = keeping.info(library)
    if as_json:
        print_json(asdict(found))
        return
    say(found.library, "bold")
    rows = [
        ["LoRAs", f"{found.loras:,} in {found.files:,} files"],
        ["missing files", f"{found.missing:,}"],
        ["waiting files", f"{found.waiting:,}"],
        ["refused files", f"{found.refused:,}"],
        ["labels", f"{found.labels:,}"],
        *(["base model", f"{base}: {n:,}"] for base, n in found.base_models.items()),
        *(["space", f"{space}: {n:,} vectors"] for space, n in found.spaces.items()),
        ["embedded with", found.bundle or "the base space"],
        ["size", f"{found.bytes / 1e6:,.1f} MB"],
        ["version", f"{found.version}, lorajax {found.lorajax}"],
    ]
    for head, value in rows:
        say(f"  {head:<14} {value}")


@app.command()
def check(
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Save what can be read; the old file is kept."),
    ] = False,
    library: LibraryOption = None,
    as_json: Json = False,
) -> None:
    """Look for damage in the library file; exit 1 where there is some left."""
    from lorajax.service.collection import keeping

    with failing_politely():
        found = keeping.check(library, repair)
    if as_json:
        print_json(asdict(found))
    else:
        for line in found.damages:
            note(line, "red")
        if found.saved is not None:
            rows = ", ".join(f"{count} {table}" for table, count in found.saved.items())
            say(f"{found.library}: saved {rows}")
            note(f"the damaged file is kept as {found.kept}")
            note("next: lorajax index FOLDER, which reads again what was lost")
        else:
            whole = "damaged" if found.damages else "whole"
            say(f"{found.library}: {whole}")
    if found.damages and found.saved is None:
        note("hint:  save what can be read with `lorajax library check --repair`", "")
        raise typer.Exit(1)


@app.command()
def build_index(library: LibraryOption = None, as_json: Json = False) -> None:
    """Make searches of very large spaces quicker; again, after many were added."""
    from lorajax.service.collection import library as service

    with failing_politely(), showing_progress() as on_progress:
        built = service.build_indexes(library, on_progress)
    if as_json:
        print_json({"library": str(service.library_path(library)), "indexes": built})
        return
    for space, count in built.items():
        say(f"{space}: an index of {count:,} vectors")
    if not built:
        say("no index is needed: every space is searched exactly in a moment")


@app.command()
def forget_missing(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR...]", help="Folders that are gone for good."),
    ] = None,
    library: LibraryOption = None,
    as_json: Json = False,
) -> None:
    """Take LoRAs whose files are gone out of the library; no file is touched."""
    from lorajax.service.collection import keeping

    with failing_politely():
        count = keeping.forget_missing(library, folders or ())
    if as_json:
        print_json({"forgotten": count})
    else:
        say(f"{count} {'LoRA' if count == 1 else 'LoRAs'} forgotten")
