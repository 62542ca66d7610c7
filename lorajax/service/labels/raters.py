"""Raters: where each one's answers are kept, and how far two of them agree.

The answers of a rater lie beside the library, in a file called after them, so that
several people can be asked the same in turn.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from lorajax.errors import LibraryError
from lorajax.service.collection.library import library_path
from lorajax.service.labels.answers import Answers, identity, read_answers

ENDING = "-triplets.jsonl"
SOMEBODY = "human"  # who answers, unless it is said


@dataclass(frozen=True)
class Pair:
    """Two raters, and how often they gave the same answer.

    Attributes:
      asked: how many comparisons both have answered.
      agreed: how many of these they answered alike. By chance one half.
      interval: of the share, with 95 % confidence (Wilson 1927); None where nothing
        was asked of both.
    """

    one: str
    other: str
    asked: int
    agreed: int
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Disputed:
    """A comparison that raters answered differently; `said` is each one's choice."""

    anchor: str
    said: dict[str, str]


@dataclass(frozen=True)
class Agreement:
    """What raters have in common.

    Attributes:
      answered: how many answers each has given.
      share: of all pairs of answers to one comparison, how many are alike; None where
        there is no pair.
      disputed: what some of them see differently, in the order of asking.
    """

    answered: dict[str, int]
    pairs: tuple[Pair, ...]
    share: float | None
    disputed: tuple[Disputed, ...]


def rater_file(library: Path | None, rater: str = "") -> Path:
    """Where the answers of a rater about a library are kept; it need not exist.

    Raises:
      LibraryError: for a name that no file could have.
    """
    name = rater or SOMEBODY
    if Path(name).name != name or not name.isprintable() or len(name) > 64:
        raise LibraryError(
            f"expected the name of a person, found {name!r}",
            "at most 64 letters, without / and without line breaks",
        )
    return library_path(library).with_name(name + ENDING)


def rater_files(library: Path | None) -> list[Path]:
    """The files of all who have answered, by name."""
    files = library_path(library).parent.glob(f"*{ENDING}")
    return sorted(files, key=lambda file: file.name.casefold())


def agreement(files: Sequence[Path]) -> Agreement:
    """How far raters agree, one file each, called after their files.

    Raises:
      LibraryError: for files that are not there or cannot be read, or two that are
        called alike.
    """
    for file in files:
        if not file.is_file():
            raise LibraryError(
                f"{file}: expected the answers of a rater, found no file",
                "without files, all beside the library are compared",
            )
    found = {_name(file): read_answers(file) for file in files}
    if len(found) < len(files):
        raise LibraryError(
            f"expected a file for every rater, found {len(files)} that are called "
            + ", ".join(sorted(found)),
            "rename them",
        )
    chosen = {rater: _choices(answers) for rater, answers in found.items()}
    pairs = tuple(_pair(chosen, *names) for names in combinations(found, 2))
    asked, agreed = sum(pair.asked for pair in pairs), sum(p.agreed for p in pairs)
    return Agreement(
        answered={rater: len(choices) for rater, choices in chosen.items()},
        pairs=pairs,
        share=agreed / asked if asked else None,
        disputed=_disputed(chosen),
    )


def _name(file: Path) -> str:
    return file.name.removesuffix(ENDING)


# A comparison, with its anchor, and which candidate was chosen.
Choices = dict[frozenset[str], tuple[str, str]]


def _choices(answers: Answers) -> Choices:
    """The last answer to each comparison."""
    return {identity(*names): names[:2] for names in answers.triplets}


def _pair(chosen: dict[str, Choices], one: str, other: str) -> Pair:
    shared = chosen[one].keys() & chosen[other].keys()
    agreed = sum(chosen[one][asked] == chosen[other][asked] for asked in shared)
    return Pair(one, other, len(shared), agreed, _interval(agreed, len(shared)))


def _interval(count: int, total: int) -> tuple[float, float] | None:
    from scipy.stats import binomtest  # takes a second, and most raters are alone

    if not total:
        return None
    found = binomtest(count, total).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def _disputed(chosen: dict[str, Choices]) -> tuple[Disputed, ...]:
    said: dict[frozenset[str], dict[str, str]] = {}
    anchors: dict[frozenset[str], str] = {}
    for rater, choices in chosen.items():
        for asked, (anchor, positive) in choices.items():
            said.setdefault(asked, {})[rater] = positive
            anchors[asked] = anchor
    return tuple(
        Disputed(anchors[asked], own)
        for asked, own in said.items()
        if len(set(own.values())) > 1
    )


def agreement_document(found: Agreement) -> dict[str, Any]:
    """An agreement as a plain document."""
    return {
        "raters": found.answered,
        "agreement": found.share,
        "pairs": [asdict(pair) for pair in found.pairs],
        "disputed": [asdict(disputed) for disputed in found.disputed],
    }
