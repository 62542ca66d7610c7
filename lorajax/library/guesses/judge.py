"""Guessing labels of LoRAs of one space by the library's own labels.

Receives a field and a space, hands out a fitted judge: what neighbours say of a vector
or of a LoRA of the library, with the neighbours named. Base models are never guessed:
that is told by structure, and vectors of two of them are never compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from lorajax.errors import TooFewLabelsError
from lorajax.library.guesses.answering import Answer, answer
from lorajax.library.guesses.fitting import PRECISION, Fit, fit
from lorajax.library.guesses.weighing import Known
from lorajax.library.labels import values_of
from lorajax.library.same_work import work_groups
from lorajax.library.store import Library


@dataclass(frozen=True)
class Judge:
    """What a library knows about one field in one space.

    Attributes:
      keys: content keys of the labelled LoRAs, in the order of `known`.
      all_keys, works: every LoRA of the space and the piece of work it belongs to.
    """

    field: str
    space: str
    keys: tuple[str, ...]
    known: Known
    fitted: Fit
    all_keys: tuple[str, ...]
    all_vectors: Float[np.ndarray, "n e"]
    works: Int[np.ndarray, " n"]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {key: place for place, key in enumerate(self.all_keys)}

    def judge_vector(self, vector: Float[np.ndarray, " e"], work: int = -1) -> Answer:
        """The answer for a vector; LoRAs of its own piece of work do not vouch."""
        unit = vector / max(float(np.linalg.norm(vector)), 1e-12)
        own: Bool[np.ndarray, " n"] = self.known.works == work
        return answer(self.known, self.fitted, unit.astype("f4"), own)

    def judge_key(self, key: str) -> Answer | None:
        """The answer for a LoRA of the library; None where it is not in the space."""
        place = self._places.get(key)
        if place is None:
            return None
        return self.judge_vector(self.all_vectors[place], int(self.works[place]))


def open_judge(
    library: Library, field: str, space: str, precision: float = PRECISION
) -> Judge:
    """Fits a judge to the labels of a field in a space.

    Args:
      precision: how often answers shall be right; below it is `unknown`.

    Raises:
      TooFewLabelsError: where the space is empty or its labels are too few.
      LibraryError: where its vectors cannot be read.
    """
    if space not in library.spaces():
        raise TooFewLabelsError(
            f"expected labelled LoRAs in space {space}, found no LoRA there",
            "index LoRAs of its base model and label them: lorajax label NAME "
            "field=value",
        )
    keys, vectors = library.unit_rows(space)
    works = work_groups(library, keys)
    values = values_of(library, field)
    places = [i for i, key in enumerate(keys) if key in values]
    names = tuple(sorted({values[keys[i]] for i in places}))
    known = Known(
        vectors=vectors[places],
        labels=_places([values[keys[i]] for i in places], names),
        works=works[places],
        names=names,
    )
    return Judge(
        *(field, space, tuple(keys[i] for i in places), known),
        *(fit(known, precision), tuple(keys), vectors, works),
    )


def _places(values: Sequence[str], names: tuple[str, ...]) -> Int[np.ndarray, " n"]:
    where = {name: i for i, name in enumerate(names)}
    return np.array([where[value] for value in values], np.int64)
