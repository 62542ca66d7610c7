"""`lorajax triplets`: comparisons by people, one at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from lorajax.cli.collection import Json, LibraryOption
from lorajax.cli.output import failing_politely, print_json, say

app = typer.Typer(
    help="Ask people which LoRAs are alike; their answers are triplets to learn from.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
FileOption = Annotated[
    Path | None,
    typer.Option("--file", help="JSON Lines of answers; default: beside the library."),
]
RaterOption = Annotated[
    str,
    typer.Option("--rater", help="Who answers; the file beside the library is theirs."),
]
SpaceOption = Annotated[
    str | None, typer.Option("--space", help="A space or a base model to ask about.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Another order of questions.")]
Anchor = Annotated[str, typer.Argument(metavar="ANCHOR")]
Candidate = Annotated[str, typer.Argument(metavar="CANDIDATE")]
_DISPUTED = 20


@app.command("next")
def next_(
    file: FileOption = None,
    rater: RaterOption = "",
    space: SpaceOption = None,
    seed: SeedOption = 0,
    library: LibraryOption = None,
    as_json: Json = False,
) -> None:
    """Tell which comparison comes next; nothing is written."""
    from lorajax.service.labels import answers, human_triplets, raters

    with failing_politely():
        found = answers.read_answers(file or raters.rater_file(library, rater))
        question = human_triplets.next_question(library, found, space, seed)
    if as_json:
        print_json(human_triplets.question_document(question, found))
        return
    if question is None:
        say(f"Nothing is left to ask: {len(found.triplets)} answers in {found.file}")
        return
    say(f"Which one is more like {question.anchor.name}?", "bold")
    say(f"  {question.left.name}")
    say(f"  {question.right.name}")


@app.command()
def answer(
    anchor: Anchor,
    positive: Annotated[str, typer.Argument(metavar="MORE-ALIKE")],
    negative: Annotated[str, typer.Argument(metavar="LESS-ALIKE")],
    file: FileOption = None,
    rater: RaterOption = "",
    library: LibraryOption = None,
    as_json: Json = False,
) -> None:
    """Write one answer: the names of the anchor, of the nearer and of the other."""
    from lorajax.service.labels import answers, human_triplets

    with _telling(file, rater, library, as_json) as place:
        names = human_triplets.checked_names(library, anchor, positive, negative)
        answers.write_answer(place, *names)


@app.command()
def skip(
    anchor: Anchor,
    one: Candidate,
    other: Candidate,
    file: FileOption = None,
    rater: RaterOption = "",
    library: LibraryOption = None,
    as_json: Json = False,
) -> None:
    """Pass over a comparison for good."""
    from lorajax.service.labels import answers, human_triplets

    with _telling(file, rater, library, as_json) as place:
        names = human_triplets.checked_names(library, anchor, one, other)
        answers.write_skip(place, *names)


@app.command()
def undo(
    anchor: Anchor,
    one: Candidate,
    other: Candidate,
    file: FileOption = None,
    rater: RaterOption = "",
    library: LibraryOption = None,
    as_json: Json = False,
) -> None:
    """Take back the answer to a comparison, or its having been skipped."""
    from lorajax.service.labels import answers

    with _telling(file, rater, library, as_json) as place:
        answers.take_back(place, answers.identity(anchor, one, other))


@app.command()
def agreement(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE...]", help="Default: all beside the library."),
    ] = None,
    library: LibraryOption = None,
    as_json: Json = False,
) -> None:
    """Tell how often raters agree, one file of answers each."""
    from lorajax.service.labels import raters

    with failing_politely():
        found = raters.agreement(files or raters.rater_files(library))
    if as_json:
        return print_json(raters.agreement_document(found))
    for pair in found.pairs:
        if pair.interval is None:
            say(f"{pair.one} and {pair.other} were asked nothing in common")
            continue
        low, high = pair.interval
        share = pair.agreed / pair.asked
        say(
            f"{pair.one} and {pair.other} agree on {pair.agreed} of {pair.asked}: "
            f"{share:.0%} ({low:.0%} to {high:.0%}); by chance one half"
        )
    if not found.pairs:
        say(f"expected two raters, found {len(found.answered)}")
    for disputed in found.disputed[:_DISPUTED]:
        choices = (f"{rater} {name}" for rater, name in disputed.said.items())
        say(f"  more like {disputed.anchor}: {', '.join(choices)}")
    if len(found.disputed) > _DISPUTED:
        say(f"  … and {len(found.disputed) - _DISPUTED} more; --json names all")


@contextmanager
def _telling(
    file: Path | None, rater: str, library: Path | None, as_json: bool
) -> Iterator[Path]:
    """The file of answers, to write to; then what it holds is told."""
    from lorajax.service.labels import answers, raters

    with failing_politely():
        place = file or raters.rater_file(library, rater)
        yield place
        found = answers.read_answers(place)
    answered, skipped = len(found.triplets), len(found.skipped)
    if as_json:
        document = {"file": str(found.file), "answered": answered, "skipped": skipped}
        print_json(document)
    else:
        say(f"{answered} answered and {skipped} skipped in {found.file}")
