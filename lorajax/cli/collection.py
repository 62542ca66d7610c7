"""`lorajax inspect`, `index` and `embed`: a collection by its weights."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from lorajax.cli.output import (
    failing_politely,
    note,
    plain_lines,
    print_json,
    say,
    showing_progress,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
LibraryOption = Annotated[
    Path | None,
    typer.Option("--library", help="Library to use; default: your own."),
]
ModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model",
        help="Bundle to embed with; none: the base space; default: as before.",
    ),
]
BundleOption = Annotated[
    Path | None,
    typer.Option("--model", help="Bundle to embed with; default: the base space."),
]
MAX_REFUSALS = 20
GROUPED_FROM = 3
MAX_WORDS = 12
_TOLD = (
    "added",
    "updated",
    "unchanged",
    "moved",
    "copies",
    "reread",
    "retold",
    "missing",
)


def inspect(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...")],
    base: Annotated[
        Path | None,
        typer.Option(
            "--base",
            metavar="FILE",
            help="Weights of the base model: makes DoRA, OFT, BOFT and (IA)³ exact.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell what a file is: format, base model, modules, rank, hashes, warnings."""
    from lorajax.service.collection import inspecting

    with failing_politely():
        found, refused = inspecting.inspect(files, base)
    if as_json:
        print_json(found)
    else:
        for facts in found:
            _print_facts(facts)
    _print_refused(refused)
    if refused:
        raise typer.Exit(1)


def index(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...")],
    model: ModelOption = None,
    library: LibraryOption = None,
    refit: Annotated[
        bool, typer.Option("--refit", help="Read and embed every file again.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 if any file was refused.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="As --refit; reads refused files too.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on with what changes, until Ctrl-C.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read folders of LoRAs into the library; unchanged files are not read again."""
    from lorajax.service.collection import documents, indexing

    refit = refit or again
    if watch:
        if strict or as_json:
            raise typer.BadParameter("--watch does not end: no --strict, no --json")
        _watch(folders, library, model, refit)
        return
    with failing_politely(), showing_progress() as on_progress:
        report = indexing.index_folders(folders, library, model, refit, on_progress)
        document = documents.report_document(report, library)
    if as_json:
        print_json(document)
    else:
        _print_report(document)
    named = {os.path.abspath(folder) for folder in folders}
    refused_by_name = any(refusal.path in named for refusal in report.refused)
    if not document["read"] or refused_by_name or (strict and report.refused):
        raise typer.Exit(1)


def _watch(
    folders: list[Path],
    library: Path | None,
    model: Path | None,
    refit: bool,
) -> None:
    """Prints a report of every run that found something."""
    from lorajax.service.collection import documents, watching

    with failing_politely():
        try:
            tell = plain_lines()
            runs = watching.watch_folders(folders, library, model, refit, tell)
            for number, report in enumerate(runs):
                if number == 0 or report.has_news or report.refused:
                    _print_report(documents.report_document(report, library))
                if number == 0:
                    note("watching; Ctrl-C ends it")
        except KeyboardInterrupt:
            note("stopped watching; what was indexed is kept")


def embed(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...")],
    out: Annotated[Path, typer.Option("--out", help="X.npz, X.parquet or X.csv.")],
    model: BundleOption = None,
    base: Annotated[
        str | None, typer.Option("--base", help="Only LoRAs of this base model.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the vectors of LoRA files, for anything else."""
    from lorajax.service.collection import embedding

    with failing_politely(), showing_progress() as on_progress:
        embedding.check_place(out)
        embedded = embedding.embed(paths, model, on_progress, base)
        embedding.write_vectors(embedded, out)
    count, width = embedded.vectors.shape
    if as_json:
        document = {"out": str(out), "count": count, "width": width}
        print_json({**document, "refused": list(embedded.refused)})
    else:
        say(f"wrote {count} vectors of {width} numbers to {out}")
    for line in embedded.notes:
        note(line)
    _print_refused(embedded.refused)
    named = {str(path) for path in paths}
    if any(refusal["path"] in named for refusal in embedded.refused):
        raise typer.Exit(1)


def _print_facts(facts: dict[str, Any]) -> None:
    modules, rank = facts["modules"], facts["rank"]
    say(facts["name"], "bold")
    ranks = str(rank["min"])
    if rank["min"] != rank["max"]:
        ranks = f"{rank['min']} to {rank['max']}, median {rank['median']:g}"
    rows = [
        ["file", facts["path"]],
        ["base model", f"{facts['base_model']}  ({facts['evidence']})"],
        ["format", f"{facts['format']}, {facts['family']}, tier {facts['tier']}"],
        [
            "modules",
            f"{modules['mapped']} of {modules['total']} mapped, "
            f"{modules['dead']} dead, {len(facts['side'])} side tensors",
        ],
        ["rank", ranks],
        ["dtype", facts["dtype"]],
        ["norm", _norm(facts["norm"])],
        ["fingerprint", facts["fingerprint"] or "known with --base only"],
        ["content key", facts["content_key"]],
        ["SHA-256", facts["file_sha256"]],
        *_said(facts["about"]),
        *(["warning", warning] for warning in facts["warnings"]),
    ]
    for head, value in rows:
        say(f"  {head:<14} {value}")


def _said(about: dict[str, Any]) -> list[list[str]]:
    """What the file and its neighbours say, by the most trusted of them."""
    rows: list[list[str]] = []
    for field in ("title", "author", "base_model", "tags", "trigger_words"):
        said = [w for w in about.get(field, ()) if w["source"] != "file name"]
        first = [word["value"] for word in said if word["source"] == said[0]["source"]]
        if first:
            rows.append([f"{field.replace('_', ' ')}*", ", ".join(first[:MAX_WORDS])])
    if "caption_tags" in about:
        rows.append(["captions*", ", ".join(list(about["caption_tags"])[:MAX_WORDS])])
    rows += [["preview", name] for name in about.get("previews", ())[:1]]
    return [*rows, ["", "* as it is said, not as it was found"]] if rows else []


def _norm(norm: float | None) -> str:
    return "known with --base only" if norm is None else f"{norm:.4g}"


def _print_report(document: dict[str, Any]) -> None:
    told = ", ".join(f"{document[name]} {name}" for name in _TOLD if document[name])
    say(f"{document['library']}: {told or 'nothing new'}")
    for base, count in document["base_models"].items():
        say(f"  {count} of {base}")
    _print_refused(document["refused"])
    for line in document["notes"]:
        note(line)
    if left := document["unembedded"]:
        vectors = "LoRA has" if left == 1 else "LoRAs have"
        note(f"{left} {vectors} no vector in the new space: index their folders too")
    if document["read"]:
        note("next: lorajax search NAME, or browse with lorajax-tui")


def _print_refused(refused: Any) -> None:
    """Refused files with their reasons; files of one reason stand together."""
    groups: dict[str, list[dict[str, str]]] = {}
    for refusal in refused:
        groups.setdefault(_reason(refusal), []).append(refusal)
    for reason, group in groups.items():
        if len(group) < GROUPED_FROM:
            for refusal in group:
                note(f"refused {refusal['path']}: {reason}", "red")
        else:
            note(f"refused {len(group)} files: {reason}", "red")
            for refusal in group[:MAX_REFUSALS]:
                note(f"    {refusal['path']}")
            if len(group) > MAX_REFUSALS:
                note(f"    … and {len(group) - MAX_REFUSALS} more")
        if group[0]["hint"]:
            note(f"    {group[0]['hint']}")


def _reason(refusal: dict[str, str]) -> str:
    """The reason without the path that some of them begin with."""
    return refusal["reason"].removeprefix(refusal["path"]).removeprefix(": ")
