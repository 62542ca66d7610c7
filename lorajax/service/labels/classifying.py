"""Labels for files that nobody has labelled, by the library's labelled LoRAs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lorajax.errors import TooFewLabelsError
from lorajax.library import Library
from lorajax.library.entry import placed
from lorajax.library.guesses import PRECISION, Answer, Judge, open_judge
from lorajax.library.labels import (
    CLASSIFIED,
    Label,
    check_field,
    derive_labels,
    drop_labels,
    read_labels,
    write_labels,
)
from lorajax.service.collection.library import bundle_of
from lorajax.service.labels.labelling import current_spaces

if TYPE_CHECKING:
    from lorajax.service.collection.embedding import LoraEmbedder

FIELDS = ("base_variant", "category", "style", "character")
SHOWN_NEIGHBOURS, SHOWN_LABELS = 5, 5


@dataclass(frozen=True)
class Neighbour:
    """A labelled LoRA that vouches: its label and its cosine."""

    name: str
    label: str
    similarity: float


@dataclass(frozen=True)
class Guess:
    """What the library says of one file in one field.

    Attributes:
      label: None is `unknown`.
      unknown: the probability of a label that the library does not know.
      threshold, precision, coverage: from which probability on there is an answer, and
        how often such answers were right, and given, on the library itself.
      note: why there is no guess at all, "" where there is one.
    """

    field: str
    label: str | None = None
    probabilities: dict[str, float] | None = None
    unknown: float = 1.0
    threshold: float | None = None
    precision: float | None = None
    coverage: float | None = None
    neighbours: tuple[Neighbour, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Classified:
    """One file with its structural base model, which is told, not guessed."""

    name: str
    path: str
    base_model: str
    space: str
    guesses: tuple[Guess, ...]


def classify(
    files: Sequence[Path],
    path: Path | None = None,
    fields: Sequence[str] = (),
    model: Path | None = None,
    precision: float = PRECISION,
) -> list[Classified]:
    """What the neighbours of files say of them.

    Args:
      fields: those asked about; none is all of `FIELDS`.
      model: the bundle whose space is used; None is the library's own.
      precision: how often answers shall be right.

    Raises:
      LorajaxError: for a file that cannot be read or has no vector, and for a library
        whose vectors cannot be read. Too few labels are no error but a note.
    """
    from lorajax.service.collection.embedding import open_embedder

    asked = [check_field(field) for field in fields] or list(FIELDS)
    with Library.open(path, create=False) as library:
        derive_labels(library)
        embedder = open_embedder(bundle_of(library, model))
        judges: dict[tuple[str, str], Judge | str] = {}
        return [
            _classify_file(library, file, asked, embedder, precision, judges)
            for file in files
        ]


def classify_library(
    path: Path | None = None, field: str = "category", precision: float = PRECISION
) -> dict[str, int]:
    """Guesses a field of every LoRA that nobody has labelled, and keeps the answers.

    Former guesses of the field go. LoRAs that stay `unknown` get no label.

    Returns:
      Label → how many LoRAs got it.

    Raises:
      TooFewLabelsError: where no base model has labels enough.
      LibraryError: where the library's vectors cannot be read.
    """
    check_field(field)
    found: list[Label] = []
    with Library.open(path, create=False) as library:
        derive_labels(library)
        labels = read_labels(library, field)
        # Also who is said to be nothing of it, or two things at once.
        said = {one.key for one in labels if one.source != CLASSIFIED}
        notes: list[str] = []
        for space in current_spaces(library).values():
            try:
                judge = open_judge(library, field, space, precision)
            except TooFewLabelsError as error:
                notes.append(error.message)
                continue
            for key in judge.all_keys:
                guess = judge.judge_key(key) if key not in said else None
                if guess is not None and guess.label is not None:
                    sure = round(guess.probabilities[guess.label], 4)
                    found.append(Label(key, field, guess.label, CLASSIFIED, sure))
        if notes and not found and len(notes) == len(current_spaces(library)):
            hint = "label more with: lorajax label"
            raise TooFewLabelsError(f"{field}: {notes[0]}", hint)
        with library.transaction():
            drop_labels(library, CLASSIFIED, [field])
            write_labels(library, found)
    counts: dict[str, int] = {}
    for label in found:
        counts[label.value] = counts.get(label.value, 0) + 1
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def classified_document(found: Sequence[Classified]) -> list[dict[str, Any]]:
    """Files with `guesses[{field, label, probabilities, unknown, neighbours}]`."""
    return [
        {
            "name": one.name,
            "path": one.path,
            "base_model": one.base_model,
            "space": one.space,
            "guesses": [_guess_document(guess) for guess in one.guesses],
        }
        for one in found
    ]


def _guess_document(guess: Guess) -> dict[str, Any]:
    probabilities = list((guess.probabilities or {}).items())[:SHOWN_LABELS]
    return {
        "field": guess.field,
        "label": guess.label or "unknown",
        "probabilities": {name: round(share, 4) for name, share in probabilities},
        "unknown": round(guess.unknown, 4),
        "threshold": guess.threshold,
        "precision": guess.precision,
        "coverage": guess.coverage,
        "neighbours": [vars(neighbour) for neighbour in guess.neighbours],
        "note": guess.note or None,
    }


def _classify_file(
    library: Library,
    file: Path,
    fields: Sequence[str],
    embedder: "LoraEmbedder",
    precision: float,
    judges: dict[tuple[str, str], Judge | str],
) -> Classified:
    from lorajax.service.collection.describing import describe

    found = describe(file)
    base_model = found.facts.base_model
    space = embedder.space(base_model)
    vector = np.asarray(embedder.embed(found.adapter), dtype=np.float32)
    guesses = []
    for field in fields:
        judge = _judge(library, field, space, precision, judges)
        if isinstance(judge, str):
            guesses.append(Guess(field, note=judge))
            continue
        known = judge.judge_key(found.key)
        answer = known or judge.judge_vector(vector)
        guesses.append(_guess(library, judge, answer))
    name = found.facts.name
    return Classified(name, str(placed(file)), base_model, space, tuple(guesses))


def _judge(
    library: Library,
    field: str,
    space: str,
    precision: float,
    judges: dict[tuple[str, str], Judge | str],
) -> Judge | str:
    """The judge of a field in a space, or why there is none; fitted once."""
    if (field, space) not in judges:
        try:
            judges[field, space] = open_judge(library, field, space, precision)
        except TooFewLabelsError as error:
            judges[field, space] = error.message
    return judges[field, space]


def _guess(library: Library, judge: Judge, answer: Answer) -> Guess:
    names = {}
    for place, _ in answer.evidence[:SHOWN_NEIGHBOURS]:
        entry = library.entry(judge.keys[place])
        names[place] = entry.name if entry else judge.keys[place]
    return Guess(
        field=judge.field,
        label=answer.label,
        probabilities=answer.probabilities,
        unknown=answer.unknown,
        threshold=judge.fitted.threshold,
        precision=judge.fitted.precision,
        coverage=judge.fitted.coverage,
        neighbours=tuple(
            Neighbour(
                names[place],
                judge.known.names[int(judge.known.labels[place])],
                round(cosine, 6),
            )
            for place, cosine in answer.evidence[:SHOWN_NEIGHBOURS]
        ),
    )
