"""Search against a plain numpy oracle, and names against a person's habits."""

from pathlib import Path

import numpy as np
import pytest

from lorajax.errors import LibraryError
from lorajax.library import (
    Entry,
    Facts,
    FileStamp,
    Library,
    Matches,
    Place,
    base_space,
    find,
    nearest,
    parse_space,
    space_of,
    vector_of,
)
from lorajax.library.entry import file_named

STAMP = FileStamp(1, 2, 3)
SPACE = base_space("sd15")


def fill(library: Library, names: list[str], space: str = SPACE) -> np.ndarray:
    """Stores a unit vector per name; returns them row by row."""
    rng = np.random.default_rng(len(names))
    rows = rng.normal(size=(len(names), 6)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    base = parse_space(space).base_model
    for i, (name, row) in enumerate(zip(names, rows, strict=True)):
        path = Path(f"/{base}/{i}/{name}").absolute()
        library.upsert(
            f"{base}-{i}", Facts(name, base), Place(path, STAMP), {space: row}
        )
    return rows


def neighbours(library: Library, entry: Entry, k: int = 10) -> Matches:
    """The nearest neighbours of an entry of the library."""
    space = space_of(library, entry)
    matrix = library.matrix(space)
    vector = vector_of(library, matrix, entry)
    return nearest(library, matrix, vector, k, entry.name, entry.key)


def test_neighbours_leave_the_query_out_and_are_ranked(library: Library) -> None:
    rows = fill(library, [f"n{i}" for i in range(9)])
    entry = find(library, "n4")
    found = neighbours(library, entry, k=3)
    cosines = rows @ rows[4]
    expected = [i for i in np.argsort(-cosines) if i != 4][:3]
    assert [match.key for match in found.matches] == [f"sd15-{i}" for i in expected]
    assert [match.rank for match in found.matches] == [1, 2, 3]
    similarity = [match.similarity for match in found.matches]
    np.testing.assert_allclose(similarity, cosines[expected], atol=1e-6)
    assert (found.searched, found.space) == (8, SPACE)


def test_neighbours_stay_in_the_space_of_the_query(library: Library) -> None:
    fill(library, ["a", "b"])
    fill(library, ["c", "d", "e"], base_space("flux"))
    found = neighbours(library, find(library, "c"))
    assert {match.name for match in found.matches} == {"d", "e"}


def test_an_exact_twin_is_still_a_neighbour(library: Library) -> None:
    row = np.ones(4, np.float32) / 2
    for key in ("k1", "k2", "k3"):
        library.upsert(
            key, Facts(key, "sd15"), Place(Path(f"/{key}"), STAMP), {SPACE: row}
        )
    found = neighbours(library, find(library, "k3"), k=2)
    assert [match.name for match in found.matches] == ["k1", "k2"]


def test_a_name_is_found_exactly_then_by_a_part(library: Library) -> None:
    fill(library, ["Ink", "Ink wash", "Oil 油絵"])
    assert find(library, "Ink").name == "Ink"
    assert find(library, "WASH").name == "Ink wash"
    assert find(library, "油絵").name == "Oil 油絵"
    path = Path("/sd15/1/Ink wash").absolute()
    assert find(library, str(path)).name == "Ink wash"


def test_a_folder_of_peft_names_the_lora_in_it(
    library: Library, tmp_path: Path
) -> None:
    fill(library, ["legal", "other"])
    weights = tmp_path / "adapters" / "adapter_model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"")
    library.upsert("it", Facts("legal", "gpt2"), Place(weights, STAMP))
    assert find(library, str(weights.parent)).key == "it"
    assert file_named(weights.parent) == weights and file_named(tmp_path) is None


def test_an_ambiguous_name_lists_the_candidates(library: Library) -> None:
    fill(library, ["Ink soft", "Ink hard", "Oil"])
    with pytest.raises(LibraryError, match=r"fits 2 LoRAs.*Ink hard, Ink soft"):
        find(library, "ink")
    with pytest.raises(LibraryError, match="no LoRA of the library is called 'clay'"):
        find(library, "clay")


def test_equal_names_are_told_apart_by_their_paths(library: Library) -> None:
    fill(library, ["twin", "twin"])
    with pytest.raises(LibraryError) as caught:
        find(library, "twin")
    assert str(Path("/sd15/0/twin").absolute()) in caught.value.message


def test_the_current_space_of_a_base_is_the_one_searched(library: Library) -> None:
    fill(library, ["a", "b"])
    vector = np.ones(3, np.float32)
    trained = "sd15:basis:encoder"
    facts = Facts("a", "sd15")
    library.upsert("sd15-0", facts, Place(Path("/a"), STAMP), {trained: vector})
    library.set_current_space("sd15", trained)
    assert neighbours(library, find(library, "a")).space == trained
    assert neighbours(library, find(library, "b")).space == SPACE


def test_without_a_current_space_the_newest_vector_counts(library: Library) -> None:
    row, facts = np.ones(3, np.float32), Facts("a", "sd15")
    for space in ("sd15:z:older", "sd15:a:newer"):
        library.upsert("k", facts, Place(Path("/a"), STAMP), {space: row})
    entry = find(library, "a")
    assert space_of(library, entry) == "sd15:a:newer"
    assert space_of(library, entry, "sd15:z:older") == "sd15:z:older"
    with pytest.raises(LibraryError, match="no vector in space sd15:b:e") as caught:
        space_of(library, entry, "sd15:b:e")
    assert "same --model" in caught.value.hint


def test_only_a_query_of_the_space_is_left_out_of_the_count(library: Library) -> None:
    rows = fill(library, [f"n{i}" for i in range(4)])
    matrix = library.matrix(SPACE)
    foreign = nearest(library, matrix, rows[0], 9, "other", "no-such-key")
    assert foreign.searched == len(foreign.matches) == 4
    own = nearest(library, matrix, rows[0], 9, "n0", "sd15-0")
    assert own.searched == len(own.matches) == 3


@pytest.mark.parametrize(
    ("space", "hint"),
    [(SPACE, "lorajax index FOLDER`"), ("sd15:b:e", "FOLDER --model BUNDLE`")],
)
def test_a_space_without_vectors_is_an_error(
    library: Library, space: str, hint: str
) -> None:
    with pytest.raises(LibraryError, match="no LoRA of sd15 in this library") as caught:
        library.matrix(space)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("tier", "words"), [("opaque", "has no vector"), ("exact", "no vector yet")]
)
def test_an_entry_without_a_vector_says_why(
    library: Library, tier: str, words: str
) -> None:
    library.upsert("k", Facts("a", "sd15", tier=tier), Place(Path("/a"), STAMP))
    with pytest.raises(LibraryError, match=words):
        neighbours(library, find(library, "a"))
