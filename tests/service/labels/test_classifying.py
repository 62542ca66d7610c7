"""Which trouble of a guess is a note beside the answers, and which an error."""

from pathlib import Path

import numpy as np
import pytest

from lorajax.errors import LibraryError, TooFewLabelsError
from lorajax.library import Library
from lorajax.service.labels.classifying import classify, classify_library
from tests.library.labelled import add

REAL = Path(__file__).parents[2] / "data" / "real" / "lora_disney.safetensors"


@pytest.mark.parametrize(
    ("count", "note"), [(0, "found no LoRA there"), (2, "found 0 with 0")]
)
def test_too_few_labels_are_a_note_beside_the_others(
    tmp_path: Path, count: int, note: str
) -> None:
    path = tmp_path / "library.sqlite"
    with Library.open(path) as library:
        for i in range(count):
            add(library, f"l{i}", np.eye(512)[i])
    (found,) = classify([REAL], path, ["style", "category"])
    assert [note in guess.note for guess in found.guesses] == [True, True]
    if count:
        with pytest.raises(TooFewLabelsError, match="style: expected at least 20"):
            classify_library(path, "style")


def test_a_damaged_library_is_an_error_and_no_note(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite"
    with Library.open(path) as library:
        for i, width in enumerate((4, 6)):  # no two vectors of a space differ in width
            add(library, f"l{i}", np.ones(width))
    for ask in (lambda: classify([REAL], path), lambda: classify_library(path)):
        with pytest.raises(LibraryError) as caught:
            ask()
        assert not isinstance(caught.value, TooFewLabelsError)
