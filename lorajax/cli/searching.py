"""`lorajax search`: LoRAs that are like others, or that fit what is said of them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lorajax.cli.collection import Json, LibraryOption, ModelOption
from lorajax.cli.output import failing_politely, note, print_json, print_table, say

if TYPE_CHECKING:
    from lorajax.service.likeness.explaining import Explanation, Part
    from lorajax.service.likeness.searching import Hit, Results

EXPLAINED = 3
MAX_COPIES = 5


def search(
    query: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME|FILE]...", show_default=False),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many to find.")] = 10,
    like: Annotated[
        list[str] | None,
        typer.Option("--like", metavar="NAME|FILE", help="A further LoRA to be like."),
    ] = None,
    unlike: Annotated[
        list[str] | None,
        typer.Option("--unlike", metavar="NAME|FILE", help="A LoRA to stay away from."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="CONDITIONS",
            help='As "base=sdxl rank<=32 tag=ink,pen family!=lokr"; all must hold.',
        ),
    ] = None,
    text: Annotated[
        str, typer.Option("--text", help='Words, or "words as they stand".')
    ] = "",
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="A tag; all given must be there.")
    ] = None,
    no_group: Annotated[
        bool, typer.Option("--no-group", help="Give every copy a place of its own.")
    ] = False,
    why: Annotated[
        bool, typer.Option("--why", help="Say where the first three agree.")
    ] = False,
    library: LibraryOption = None,
    model: ModelOption = None,
    as_json: Json = False,
) -> None:
    """Find the LoRAs most like others, or list those that fit words and conditions."""
    from lorajax.service.likeness import searching as service

    asked = service.Query(
        like=(*(query or ()), *(like or ())),
        unlike=tuple(unlike or ()),
        where=" ".join(where or ()),
        text=text,
        tags=tuple(tag or ()),
        k=k,
        group=not no_group,
        why=EXPLAINED if why else 0,
    )
    if not (asked.like or asked.where or asked.text or asked.tags):
        raise typer.BadParameter("give a LoRA, or --text, --tag or --where")
    if (asked.unlike or why) and not asked.like:
        raise typer.BadParameter("--unlike and --why need a LoRA to compare with")
    with failing_politely():
        results = service.search(library, asked, model)
    if as_json:
        from lorajax.service.likeness.search_documents import results_document

        print_json(results_document(results, asked))
    else:
        _print(results)
    for line in results.notes:
        note(line)


def _print(results: "Results") -> None:
    if results.space is None:
        say(f"{results.searched} LoRAs fit {results.query}", "bold")
    else:
        say(f"Nearest to {results.query}, in {results.space}:", "bold")
    if results.matches:
        _print_hits(results)
    elif results.space is not None:
        say("none: no other LoRA of this space fits")
    for hit in results.matches:
        _print_copies(hit)
    for hit in results.matches:
        if hit.why:
            _print_why(hit, hit.why)


def _print_hits(results: "Results") -> None:
    cells: dict[str, list[Any]] = {"#": [hit.rank for hit in results.matches]}
    if results.space is not None:
        cells["similarity"] = [f"{hit.similarity:.3f}" for hit in results.matches]
    if any(hit.to_unlike is not None for hit in results.matches):
        cells["to like"] = [f"{hit.to_like:.3f}" for hit in results.matches]
        cells["to unlike"] = [f"{hit.to_unlike:.3f}" for hit in results.matches]
    cells["name"] = [hit.name for hit in results.matches]
    if results.space is None:
        cells["base model"] = [hit.base_model for hit in results.matches]
    cells["tier"] = [hit.tier for hit in results.matches]
    cells["path"] = [_path(hit) for hit in results.matches]
    rows = [list(map(str, row)) for row in zip(*cells.values(), strict=True)]
    numbers = {"#", "similarity", "to like", "to unlike"}
    print_table(list(cells), rows, numbers, path="path")


def _path(hit: "Hit") -> str:
    return f"(gone) {hit.path}" if hit.missing else hit.path


def _print_copies(hit: "Hit") -> None:
    if hit.also_at:
        places = ", ".join(hit.also_at[:MAX_COPIES])
        more = len(hit.also_at) - MAX_COPIES
        note(f"{hit.rank} lies also at {places}" + (f" and {more} more" * (more > 0)))


def _print_why(hit: "Hit", why: "Explanation") -> None:
    say("")
    say(f"{why.first} and {hit.name}: {why.similarity:.3f}", "bold")
    for head, groups in (
        ("agree most in", why.agreeing()),
        ("differ in", why.differing()),
    ):
        for group in groups:
            say(f"  {head:<13}  {_told(group)}")
            head = ""
    if abs(why.rest) >= 0.0005:
        say(f"  {why.rest:+.3f} is the error of the base space's estimate")


def _told(group: "Part") -> str:
    """A group with what it adds, its own cosine, and its shares of both norms."""
    cosine = "in one only" if group.cosine is None else f"cosine {group.cosine:.2f}"
    first, second = group.shares
    return (
        f"{group.name} ({group.contribution:+.3f}, {cosine}, "
        f"{first:.0%} and {second:.0%} of the norms)"
    )
