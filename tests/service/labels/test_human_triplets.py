"""Comparisons by people: what is asked, how answers are kept, and how raters agree."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from lorajax.dataset.label_files import read_triplets
from lorajax.errors import LibraryError
from lorajax.library import Library, index
from lorajax.service.labels import answers
from lorajax.service.labels.human_triplets import (
    CONTROL_EVERY,
    Question,
    checked_names,
    next_question,
)
from lorajax.service.labels.raters import rater_file
from tests.library.fakes import FakeEmbedder, Reader, vector_of, write_lora

COUNT = 40


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Forty LoRAs, two more that share their name, and a copy of one's vector."""
    files = [
        write_lora(tmp_path / f"lora {i}.safetensors", f"c{i}") for i in range(COUNT)
    ]
    twins = [write_lora(tmp_path / n / "twin.safetensors", n) for n in ("a", "b")]

    class Copying(FakeEmbedder):
        def embed(self, adapter: str) -> np.ndarray:
            return vector_of("c0" if adapter == "c1" else adapter)

    with Library.open(tmp_path / "library.sqlite") as opened:
        index(opened, [*files, *twins], Reader(), Copying())
    return tmp_path / "library.sqlite"


def rank_of(question: Question, name: str) -> int:
    """How many LoRAs with names of their own are nearer to the anchor, by NumPy."""

    def vector(name: str) -> np.ndarray:
        return vector_of("c" + name.split()[1].replace("1", "0", name == "lora 1"))

    own = vector(question.anchor.name)
    nearer = vector(name) @ own
    others = (f"lora {i}" for i in range(COUNT))
    return sum(bool(vector(o) @ own > nearer + 1e-6) for o in others) - 1


def ask_all(library: Path, file: Path, count: int) -> list[Question]:
    """Answers the left one to so many questions."""
    asked = []
    for _ in range(count):
        question = next_question(library, answers.read_answers(file))
        assert question is not None
        answers.write_answer(
            file, question.anchor.name, question.left.name, question.right.name
        )
        asked.append(question)
    return asked


def test_questions_are_near_the_border_and_a_few_are_plain(
    library: Path, tmp_path: Path
) -> None:
    asked = ask_all(library, tmp_path / "x-triplets.jsonl", 3 * CONTROL_EVERY)
    kinds = [question.kind for question in asked]
    assert kinds.count("control") == 3 and kinds[CONTROL_EVERY - 1] == "control"
    for question in asked:
        names = {question.anchor.name, question.left.name, question.right.name}
        assert len(names) == 3 and "twin" not in names
        assert not {"lora 0", "lora 1"} <= {question.anchor.name} | (
            names if question.anchor.name in ("lora 0", "lora 1") else set()
        )
        ranks = sorted(
            rank_of(question, c.name) for c in (question.left, question.right)
        )
        if question.kind == "control":
            assert ranks[0] <= 4 and ranks[1] >= COUNT // 2 - 2
        else:
            assert ranks[0] <= 11 and ranks[1] - ranks[0] <= 5
    assert len({question.identity for question in asked}) == len(asked)
    left_is_nearer = [q.left.similarity > q.right.similarity for q in asked]
    assert 4 < sum(left_is_nearer) < len(asked) - 4


def test_raters_are_asked_the_same_and_sessions_go_on(
    library: Path, tmp_path: Path
) -> None:
    first = ask_all(library, tmp_path / "a-triplets.jsonl", 5)
    again = ask_all(library, tmp_path / "b-triplets.jsonl", 3)
    again += ask_all(library, tmp_path / "b-triplets.jsonl", 2)
    assert [q.identity for q in first] == [q.identity for q in again]
    none = answers.read_answers(tmp_path / "none.jsonl")
    other = next_question(library, none, seed=1)
    assert other is not None and other.identity != first[0].identity


def test_answers_are_the_format_that_training_reads(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "human-triplets.jsonl"
    answers.write_answer(file, "水墨", "b", "c")
    answers.write_answer(file, "b", "c", "水墨")
    answers.write_skip(file, "c", "水墨", "b")
    lines = file.read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0]) == {"anchor": "水墨", "positive": "b", "negative": "c"}
    places = {"水墨": 0, "b": 1, "c": 2}
    np.testing.assert_array_equal(read_triplets(file, places), [[0, 1, 2], [1, 2, 0]])
    # what was skipped must not be taken for triplets by `*triplets*.jsonl`
    assert [path.name for path in file.parent.glob("*triplets*.jsonl")] == [file.name]
    assert len(answers.read_answers(file).asked) == 3


def test_an_answer_can_be_taken_back_whichever_way_it_was_given(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    answers.write_answer(file, "a", "b", "c")
    answers.write_answer(file, "d", "e", "f")
    answers.write_skip(file, "g", "h", "i")
    answers.take_back(file, answers.identity("a", "c", "b"))
    answers.take_back(file, answers.identity("g", "h", "i"))
    found = answers.read_answers(file)
    assert found.triplets == (("d", "e", "f"),) and found.skipped == ()
    with pytest.raises(LibraryError, match="nothing to take back"):
        answers.take_back(file, answers.identity("a", "b", "c"))


def test_a_line_that_is_no_triplet_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text('{"anchor": "a"}\n', encoding="utf-8")
    with pytest.raises(LibraryError, match="line 1: expected"):
        answers.read_answers(file)
    with pytest.raises(LibraryError, match="cannot be read"):
        answers.write_answer(file / "no folder.jsonl", "a", "b", "c")


def test_a_disk_that_takes_no_answer_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LibraryError, match="cannot be written"):
        answers.write_answer(tmp_path / "t.jsonl", "a", "b", "c")


def test_what_is_answered_is_not_written_again_until_it_is_taken_back(
    tmp_path: Path,
) -> None:
    file = tmp_path / "t.jsonl"
    answers.write_skip(file, "a", "b", "c")
    answers.write_answer(file, "a", "b", "c")  # what was skipped may be answered
    for write in (answers.write_answer, answers.write_skip):
        for names in (("b", "c"), ("c", "b")):
            with pytest.raises(LibraryError, match="b is more like a than c") as caught:
                write(file, "a", *names)
            assert "lorajax triplets undo" in caught.value.hint
    answers.write_answer(file, "b", "a", "c")  # another anchor, another question
    answers.take_back(file, answers.identity("a", "b", "c"))
    answers.write_answer(file, "a", "c", "b")
    found = answers.read_answers(file)
    assert found.triplets == (("b", "a", "c"), ("a", "c", "b"))
    assert found.skipped == (("a", "b", "c"),)


def test_small_libraries_run_out_and_smaller_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite"
    with Library.open(path) as opened:
        files = [write_lora(tmp_path / f"{n}.safetensors", n) for n in "ab"]
        index(opened, files, Reader(), FakeEmbedder())
    file = rater_file(path)
    with pytest.raises(LibraryError, match="three LoRAs with names of their own"):
        next_question(path, answers.read_answers(file))
    with Library.open(path) as opened:
        index(
            opened,
            [write_lora(tmp_path / "c.safetensors", "c")],
            Reader(),
            FakeEmbedder(),
        )
    ask_all(path, file, 3)
    assert next_question(path, answers.read_answers(file)) is None


def test_where_there_are_pictures_only_what_has_one_is_asked_about(
    library: Path, tmp_path: Path
) -> None:
    with Library.open(library) as opened, opened.transaction():
        for name in ("lora 3", "lora 4", "lora 5"):
            opened.execute(
                "UPDATE paths SET told = json_set(told, '$.preview', 'x.png') "
                "WHERE path LIKE ?",
                f"%{name}.safetensors",
            )
        opened.grow_revision()
    (question,) = ask_all(library, tmp_path / "t.jsonl", 1)
    names = {question.anchor.name, question.left.name, question.right.name}
    assert names == {"lora 3", "lora 4", "lora 5"}


def test_names_are_checked_before_they_are_written(library: Path) -> None:
    names = ("lora 1", "lora 2", "lora 3")
    assert checked_names(library, *names) == names
    with pytest.raises(LibraryError, match="found 2 called 'twin'"):
        checked_names(library, "lora 1", "twin", "lora 2")
    with pytest.raises(LibraryError, match="expected three LoRAs"):
        checked_names(library, "lora 1", "lora 1", "lora 2")


def test_a_renamed_lora_is_asked_about_by_its_new_name(
    library: Path, tmp_path: Path
) -> None:
    (before,) = ask_all(library, tmp_path / "a.jsonl", 1)
    old = tmp_path / f"{before.anchor.name}.safetensors"
    with Library.open(library) as opened:
        index(
            opened, [old.rename(tmp_path / "new.safetensors")], Reader(), FakeEmbedder()
        )
    (after,) = ask_all(library, tmp_path / "b.jsonl", 1)
    assert (after.anchor.key, after.anchor.name) == (before.anchor.key, "new")
