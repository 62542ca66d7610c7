"""Raters: their files, and how far they agree."""

from pathlib import Path

import pytest

from lorajax.errors import LibraryError
from lorajax.service.labels.answers import write_answer, write_skip
from lorajax.service.labels.raters import (
    Disputed,
    agreement,
    agreement_document,
    rater_file,
    rater_files,
)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Beside it are three raters: two of them alike, a third who sees it otherwise."""
    path = tmp_path / "library.sqlite"
    for rater, positive in (("aki", "b"), ("berta", "b"), ("chen", "c")):
        other = "c" if positive == "b" else "b"
        write_answer(rater_file(path, rater), "a", positive, other)
    write_answer(rater_file(path, "aki"), "x", "y", "z")
    write_skip(rater_file(path, "berta"), "x", "z", "y")
    return path


def test_everyone_has_a_file_beside_the_library(library: Path) -> None:
    names = [file.name for file in rater_files(library)]
    assert names == [f"{who}-triplets.jsonl" for who in ("aki", "berta", "chen")]
    assert rater_file(library) == library.with_name("human-triplets.jsonl")
    assert rater_file(library, "森 さん").parent == library.parent
    for name in ("../aki", "a/b", "two\nlines", "n" * 65):
        with pytest.raises(LibraryError, match="expected the name of a person"):
            rater_file(library, name)


def test_pairs_of_answers_to_one_comparison_are_counted(library: Path) -> None:
    found = agreement(rater_files(library))
    assert found.answered == {"aki": 2, "berta": 1, "chen": 1}
    counts = {(p.one, p.other): (p.agreed, p.asked) for p in found.pairs}
    assert counts == {
        ("aki", "berta"): (1, 1),
        ("aki", "chen"): (0, 1),
        ("berta", "chen"): (0, 1),
    }
    assert found.share == pytest.approx(1 / 3)
    assert found.disputed == (Disputed("a", {"aki": "b", "berta": "b", "chen": "c"}),)
    alone = agreement(rater_files(library)[:1])
    assert (alone.pairs, alone.share, alone.disputed) == ((), None, ())


def test_shares_come_with_the_interval_of_wilson(tmp_path: Path) -> None:
    """8 of 10: 0.490 to 0.943 by his formula, worked out by hand."""
    library = tmp_path / "library.sqlite"
    for i in range(10):
        write_answer(rater_file(library, "one"), f"anchor {i}", "b", "c")
        names = ("b", "c") if i < 8 else ("c", "b")
        write_answer(rater_file(library, "two"), f"anchor {i}", *names)
    (pair,) = agreement(rater_files(library)).pairs
    assert (pair.agreed, pair.asked) == (8, 10)
    assert pair.interval == pytest.approx((0.490, 0.943), abs=1e-3)


def test_raters_without_a_common_comparison_have_no_interval(tmp_path: Path) -> None:
    library = tmp_path / "library.sqlite"
    write_answer(rater_file(library, "one"), "a", "b", "c")
    write_answer(rater_file(library, "two"), "d", "e", "f")
    found = agreement(rater_files(library))
    assert found.pairs[0].interval is None and found.share is None
    assert agreement_document(found)["pairs"][0]["asked"] == 0


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    files = [tmp_path / place / "aki-triplets.jsonl" for place in "ab"]
    for file in files:
        write_answer(file, "a", "b", "c")
    with pytest.raises(LibraryError, match="found 2 that are called aki"):
        agreement(files)


def test_a_file_that_is_not_there_is_refused(library: Path) -> None:
    gone = library.with_name("dana-triplets.jsonl")
    with pytest.raises(
        LibraryError, match=r"dana-triplets\.jsonl: expected the answers"
    ):
        agreement([*rater_files(library), gone])
