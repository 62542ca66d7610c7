"""`lorajax clusters` and `classify`: what weights say of LoRAs, by their like."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from lorajax.cli.collection import Json, LibraryOption, ModelOption
from lorajax.cli.output import (
    failing_politely,
    note,
    print_json,
    print_table,
    say,
    showing_progress,
)


def clusters(
    base: Annotated[
        str | None, typer.Option("--base", help="Only LoRAs of this base model.")
    ] = None,
    min_size: Annotated[
        int, typer.Option("--min-size", min=2, help="LoRAs that make a cluster.")
    ] = 3,
    kept: Annotated[
        bool, typer.Option("--kept", help="Show what was found last time.")
    ] = False,
    library: LibraryOption = None,
    as_json: Json = False,
) -> None:
    """Group the collection by its weights, and name the groups."""
    from lorajax.service.labels import label_documents, labelling

    with failing_politely(), showing_progress() as on_progress:
        found = labelling.clusters(library, base, min_size, kept, on_progress)
        document = label_documents.clusters_document(found, library)
    if as_json:
        print_json(document)
        return
    for group in document["groups"]:
        count = len(group["clusters"])
        say(
            f"{group['base_model']}: {count} clusters of {group['loras']} LoRAs", "bold"
        )
        rows = [
            [
                *(str(one["number"]), one["name"] or "(unnamed)", str(one["size"])),
                *(f"{one['cohesion']:.3f}", one["representative"]["name"]),
            ]
            for one in group["clusters"]
        ]
        columns = ["#", "name", "LoRAs", "cohesion", "most typical"]
        if rows:
            print_table(columns, rows, {"#", "LoRAs", "cohesion"})
        note(f"{group['without']} of {group['updates']} updates are in no cluster")


def classify(
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILE...")] = None,
    fields: Annotated[
        list[str] | None,
        typer.Option("--field", help="base_variant, category, style, … (repeatable)"),
    ] = None,
    precision: Annotated[
        float,
        typer.Option(min=0.5, max=0.999, help="How often answers shall be right."),
    ] = 0.9,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Label the library's own unlabelled LoRAs."),
    ] = False,
    library: LibraryOption = None,
    model: ModelOption = None,
    as_json: Json = False,
) -> None:
    """Guess labels by the most similar labelled LoRAs, or say: unknown."""
    from lorajax.service.labels import classifying as service

    if keep == bool(files):
        raise typer.BadParameter("give files, or --keep for the library's own LoRAs")
    if keep and model is not None:
        raise typer.BadParameter("--keep takes the library's own vectors: no --model")
    with failing_politely():
        if keep:
            asked = fields or ["category"]
            counts = {
                field: service.classify_library(library, field, precision)
                for field in asked
            }
            _print_kept(counts, as_json)
            return
        found = service.classify(files or [], library, fields or [], model, precision)
    document = service.classified_document(found)
    if as_json:
        print_json(document)
        return
    for one in document:
        say(f"{one['name']}  ({one['base_model']})", "bold")
        for guess in one["guesses"]:
            _print_guess(guess)


def _print_kept(counts: dict[str, dict[str, int]], as_json: bool) -> None:
    if as_json:
        print_json(counts)
        return
    for field, found in counts.items():
        told = ", ".join(f"{count} {value}" for value, count in found.items())
        say(f"{field}: {told or 'every answer is unknown'}")


def _print_guess(guess: dict[str, Any]) -> None:
    if guess["note"]:
        note(f"  {guess['field']}: {guess['note']}")
        return
    if not math.isfinite(guess["threshold"]):
        note(f"  {guess['field']}: no answer of this library is right often enough")
    shares = [f"{name} {share:.0%}" for name, share in guess["probabilities"].items()]
    shares.append(f"none of these {guess['unknown']:.0%}")
    say(f"  {guess['field']:<14} {guess['label']}  ({', '.join(shares)})")
    near = [f"{n['name']} {n['similarity']:.3f}" for n in guess["neighbours"]]
    say(f"  {'':<14} by {', '.join(near)}", "dim")
