"""Which comparisons people are asked: is this LoRA or that one more like a third?

They follow from the vectors and one seed, so that raters of one library are asked the
same in the same order. Most lie near the border, where both candidates are about as
similar to the anchor and an answer teaches; every eighth is a control, whose answer
is plain. What was answered or skipped is not asked again (`answers`, beside it).
Raters judge pictures of what LoRAs do, as in the paper's second experiment; they may
judge names and tags where there are no pictures.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from lorajax.errors import LibraryError
from lorajax.library import Library
from lorajax.library.store.leaving import ALL_PLACED, PLACED
from lorajax.service.labels.answers import Answers, identity
from lorajax.service.likeness.mapping import chosen_space

Kind = Literal["border", "control"]
CONTROL_EVERY = 8
# Candidates at the border are among the nearest of the anchor, at most so many places
# apart; those of a control are one of the very nearest and one of the farther half.
_NEAR_SHARE, _NEAR_LEAST, _APART, _VERY_NEAR = 0.1, 10, 4, 3
# As near as copies are: nobody can tell them apart.
_SAME = 0.99
_ANCHORS_TRIED, _QUESTIONS_TRIED = 20, 500
_NAMES = f"SELECT key, name FROM loras WHERE {ALL_PLACED} ORDER BY key"
_PICTURED = """
SELECT DISTINCT key FROM paths WHERE json_extract(told, '$.preview') != ''
"""


@dataclass(frozen=True)
class Candidate:
    """A LoRA of a comparison; `similarity` is the cosine to the anchor."""

    key: str
    name: str
    similarity: float


@dataclass(frozen=True)
class Question:
    """Is `left` or `right` more like the `anchor`?"""

    anchor: Candidate
    left: Candidate
    right: Candidate
    kind: Kind

    @property
    def identity(self) -> frozenset[str]:
        return identity(self.anchor.name, self.left.name, self.right.name)


def next_question(
    library: Path | None, answers: Answers, space: str | None = None, seed: int = 0
) -> Question | None:
    """The next comparison that was not asked; None where none is left.

    Args:
      space: its name or a base model; none as of `chosen_space`.

    Raises:
      LibraryError: where fewer than three LoRAs can be told apart by their names.
    """
    names, keys, vectors = _vectors(library, space)
    asked = answers.asked
    for number in range(len(asked), len(asked) + _QUESTIONS_TRIED):
        found = _question(names, keys, vectors, number, seed)
        if found is not None and found.identity not in asked:
            return found
    return None


def _question(
    names: Sequence[str],
    keys: Sequence[str],
    vectors: Float[np.ndarray, "n e"],
    number: int,
    seed: int,
) -> Question | None:
    """The comparison of a number; None where copies leave too few candidates."""
    generator = np.random.default_rng([seed, number])
    kind: Kind = "border" if (number + 1) % CONTROL_EVERY else "control"
    for anchor in generator.integers(len(names), size=_ANCHORS_TRIED).tolist():
        similarity = vectors @ vectors[anchor]
        pair = _pair(similarity, anchor, kind, generator)
        if pair is not None:
            asked, left, right = (
                Candidate(keys[i], names[i], float(similarity[i]))
                for i in (anchor, *pair)
            )
            return Question(asked, left, right, kind)
    return None


def _pair(
    similarity: Float[np.ndarray, " n"],
    anchor: int,
    kind: Kind,
    generator: np.random.Generator,
) -> tuple[int, int] | None:
    """Two candidates in either order."""
    order = np.argsort(-similarity, kind="stable")
    order = order[(order != anchor) & (similarity[order] < _SAME)]
    if len(order) < 2:
        return None
    last = len(order) - 1
    if kind == "control":
        first = int(generator.integers(min(_VERY_NEAR, last)))
        second = int(generator.integers(max(first + 1, len(order) // 2), len(order)))
    else:
        near = max(_NEAR_LEAST, round(_NEAR_SHARE * len(order)))
        first = int(generator.integers(min(near, last)))
        second = min(first + int(generator.integers(1, _APART + 1)), last)
    nearer, other = int(order[first]), int(order[second])
    return (nearer, other) if generator.random() < 0.5 else (other, nearer)


def _vectors(
    library: Path | None, space: str | None
) -> tuple[tuple[str, ...], tuple[str, ...], Float[np.ndarray, "n e"]]:
    found = chosen_space(library, space)
    with Library.open(library, create=False) as opened:
        with opened.snapshot():
            names = tuple(opened.query(_NAMES))
            revision = opened.revision()
        return _named_vectors(opened.path, found.name, revision, names)


@lru_cache(maxsize=1)
def _named_vectors(
    path: Path, space: str, revision: int, names: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, ...], tuple[str, ...], Float[np.ndarray, "n e"]]:
    """Names, keys and unit vectors of the LoRAs that can be asked about.

    They are kept while neither vectors nor names change. These are the ones that share
    their name with no other; where at least three of them have a picture, the ones
    with a picture.
    """
    with Library.open(path, create=False) as library, library.snapshot():
        keys, vectors = library.unit_rows(space)
        pictured = {key for (key,) in library.query(_PICTURED)}
    known = dict(names)
    often = Counter(known.values())
    rows = [i for i, key in enumerate(keys) if often[known.get(key, "")] == 1]
    with_picture = [i for i in rows if keys[i] in pictured]
    rows = with_picture if len(with_picture) >= 3 else rows
    if len(rows) < 3:
        raise LibraryError(
            f"expected three LoRAs with names of their own in {space}, found "
            f"{len(rows)} of {len(keys)}",
            "index more of them, or rename files that are called alike",
        )
    rows.sort(key=lambda i: keys[i])
    keys = [keys[i] for i in rows]
    return tuple(known[key] for key in keys), tuple(keys), vectors[rows]


def checked_names(library: Path | None, *names: str) -> tuple[str, str, str]:
    """Three names of the library that differ and that only one LoRA has each.

    Raises:
      LibraryError: where they are not.
    """
    with Library.open(library, create=False) as opened:
        for name in names:
            ((found,),) = opened.query(
                f"SELECT COUNT(*) FROM loras WHERE name = ? AND {PLACED}", name
            )
            if found != 1:
                raise LibraryError(
                    f"expected the name of one LoRA, found {found} called {name!r}",
                    "give names as `lorajax triplets next` does",
                )
    anchor, positive, negative = names
    if len(set(names)) < 3:
        raise LibraryError(f"expected three LoRAs, found {', '.join(names)}")
    return anchor, positive, negative


def question_document(question: Question | None, answers: Answers) -> dict[str, Any]:
    """A comparison as a plain document, with how many were answered."""
    found = question and {
        name: {
            "key": candidate.key,
            "name": candidate.name,
            "similarity": round(candidate.similarity, 6),
        }
        for name, candidate in (
            ("anchor", question.anchor),
            ("left", question.left),
            ("right", question.right),
        )
    }
    return {
        "file": str(answers.file),
        "answered": len(answers.triplets),
        "skipped": len(answers.skipped),
        "kind": question and question.kind,
        "question": found,
    }
