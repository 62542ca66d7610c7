"""The public benchmark's files load as they are, and mistakes name their line."""

from pathlib import Path

import pytest

from lorajax.dataset import label_files
from lorajax.dataset.label_files import (
    read_ids,
    read_labels,
    read_rankings,
    read_ranks,
    read_triplets,
)
from lorajax.errors import DatasetError

PLACES = {"11": 0, "22": 1, "33": 2, "44": 3}


def test_triplets_of_known_loras(tmp_path: Path) -> None:
    path = tmp_path / "eval_triplets.jsonl"
    path.write_text(
        '{"anchor": "11", "positive": "22", "negative": "44"}\n'
        '{"anchor": "11", "positive": "99", "negative": "44"}\n',
        encoding="utf-8",
    )
    assert read_triplets(path, PLACES).tolist() == [[0, 1, 3]]


def test_rankings_become_ordered_pairs(tmp_path: Path) -> None:
    path = tmp_path / "ranking.csv"
    rows = "query_id,lora_id,rank\n11,33,2\n11,22,1\n11,44,3\n22,11,1\n"
    path.write_text(rows, encoding="utf-8")
    expected = [[0, 1, 2], [0, 1, 3], [0, 2, 3]]
    assert read_rankings(path, PLACES).tolist() == expected
    assert read_ranks(path, PLACES) == {0: [(2, 2.0), (1, 1.0), (3, 3.0)], 1: [(0, 1)]}


def test_lists_name_loras_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "eval_ids_150.txt"
    path.write_text("44\r\n11\n\n99\n44\n", encoding="utf-8")
    assert read_ids(path, PLACES).tolist() == [0, 3]
    path.write_text("99\n98\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="one a line, found none among 2"):
        read_ids(path, PLACES)


def test_bad_lines_are_named(tmp_path: Path) -> None:
    triplets = tmp_path / "t.jsonl"
    triplets.write_text('{"anchor": "11"}\n', encoding="utf-8")
    with pytest.raises(DatasetError, match=r"t\.jsonl, line 1: expected"):
        read_triplets(triplets, PLACES)
    ranking = tmp_path / "r.csv"
    ranking.write_text("query_id,lora_id,rank\n11,22,first\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"r\.csv, line 2: expected the columns"):
        read_rankings(ranking, PLACES)


def test_blank_lines_and_lines_that_teach_nothing_are_passed_over(
    tmp_path: Path,
) -> None:
    triplets = tmp_path / "t.jsonl"
    good = '{"anchor": "11", "positive": "22", "negative": "44"}'
    same = good.replace("44", "22"), good.replace("22", "11"), good.replace("44", "11")
    lines = ["", good, "  ", good.replace("}", ', "note": "a\u2028b\x85c"}'), *same, ""]
    triplets.write_bytes("\r\n".join(lines).encode())
    assert read_triplets(triplets, PLACES).tolist() == [[0, 1, 3]] * 2
    ranking = tmp_path / "r.csv"
    rows = "query_id,lora_id,rank\r\n\r\n11,11,1\r\n11,22,2\r\n11,22,3\r\n,,\r\n11,44,4"
    ranking.write_bytes(rows.encode())
    assert read_rankings(ranking, PLACES).tolist() == [[0, 1, 3], [0, 1, 3]]


@pytest.mark.parametrize(
    "line", ["[" * 9000, "9" * 9000, "[1]", "7", '"x"'], ids=range(5)
)
def test_hostile_triplets_are_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(f"\n{line}\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"t\.jsonl, line 2: expected"):
        read_triplets(path, PLACES)


@pytest.mark.parametrize(
    "line", ["11,22", "11,22,nan", "11,22,1e999", "x" * 200_000], ids=range(4)
)
def test_hostile_rankings_are_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "r.csv"
    path.write_text(f"query_id,lora_id,rank\n\n{line}\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"r\.csv, line 3: expected the columns"):
        read_rankings(path, PLACES)


def test_files_beyond_all_measure_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("lora_id,style\n11,ink\n", encoding="utf-8")
    size = path.stat().st_size
    monkeypatch.setattr(label_files, "MAX_LABELS", size)
    assert read_labels(path) == {"11": "ink"}
    monkeypatch.setattr(label_files, "MAX_LABELS", size - 1)
    monkeypatch.setattr(label_files, "MAX_COMPARISONS", size - 1)
    for read in (
        lambda: read_labels(path),
        lambda: read_rankings(path, PLACES),
        lambda: read_triplets(path, PLACES),
    ):
        with pytest.raises(
            DatasetError, match=r"labels\.csv: expected at most .* byte"
        ):
            read()
