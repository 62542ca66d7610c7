"""`lorajax duplicates`: which files one of them can stand for, and why."""

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

MOST_SHOWN = 50


def duplicates(
    level: Annotated[
        list[str] | None,
        typer.Option(
            "--level",
            help="1 to 5, or file, weights, update, scaled, merged, resized, near; "
            "may be repeated; default: all.",
        ),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option("--plan", help="Also write a list to review: X.csv or X.jsonl."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an older plan.")
    ] = False,
    library: LibraryOption = None,
    as_json: Json = False,
) -> None:
    """Tell duplicates with the reason why; nothing is ever deleted or moved."""
    from lorajax.service.likeness import duplicates as service
    from lorajax.service.likeness.ladder_documents import ladder_document

    with failing_politely(), showing_progress() as on_progress:
        kinds = service.chosen_kinds(level or [])
        if plan is not None:
            service.check_plan(plan, force)
        ladder = service.find_duplicates(library, kinds, on_progress)
        rows = 0 if plan is None else service.write_plan(ladder, plan, force)
    document = ladder_document(ladder, library)
    if as_json:
        print_json({**document, "plan": None if plan is None else str(plan)})
    else:
        _print(document, tuple(level or ()))
    if plan is not None:
        note(f"wrote {rows} rows to {plan}: look through it, nothing was touched")


def _print(document: dict[str, Any], levels: tuple[str, ...]) -> None:
    from lorajax.service.likeness.duplicates import MEANINGS

    groups, relations = document["groups"], document["relations"]
    for group in groups[:MOST_SHOWN]:
        sure = "" if group["confirmed"] else ", not confirmed"
        head = f"{group['group']}. level {group['level']}: {MEANINGS[group['kind']]}"
        say(head + sure, "bold")
        _print_members(group["members"])
        say(f"    {group['rule']}", "dim")
    if len(groups) > MOST_SHOWN:
        note(f"… and {len(groups) - MOST_SHOWN} more groups: --plan lists all of them")
    for relation in relations[:MOST_SHOWN]:
        say(f"no duplicates: {relation['evidence']} (by {relation['by']})", "bold")
        _print_members(relation["members"])
    if len(relations) > MOST_SHOWN:
        note(f"… and {len(relations) - MOST_SHOWN} more relations: see --json")
    counts = {kind: 0 for kind in MEANINGS}
    for group in groups:
        counts[group["kind"]] += 1
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    megabytes = document["redundant_bytes"] / 1e6
    only = f" (looked for: {', '.join(levels)})" if levels else ""
    say(
        f"{document['searched']} LoRAs: {told or 'no duplicates'}{only}; "
        f"{megabytes:,.1f} MB redundant"
    )
    for path in document["changed"]:
        note(f"left out, it changed since it was indexed: {path}", "yellow")
    for unread in document["unread"]:
        note(f"could not be compared: {unread['reason']}", "yellow")


def _print_members(members: list[dict[str, Any]]) -> None:
    for member in members:
        gone = " (missing)" if member["missing"] else ""
        say(f"    {member['action']:<9} {member['path']}{gone}")
        say(f"              {member['evidence']}", "dim")
