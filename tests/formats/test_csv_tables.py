"""Cells that no spreadsheet computes, and what comes back of them."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorajax.formats.csv_tables import joined, meant, parted, write_csv


@pytest.mark.parametrize("cell", ["=1+1", "@x", "-5", "'=1", "''+", "it's", "'", "墨"])
def test_no_cell_is_computed_and_each_comes_back(tmp_path: Path, cell: str) -> None:
    out = tmp_path / "x.csv"
    write_csv(out, ["name", "number"], [[cell, -1.5]])
    assert out.read_bytes().startswith(b"\xef\xbb\xbf")
    with out.open(encoding="utf-8-sig", newline="") as file:
        _, (written, number) = csv.reader(file)
    assert written[0] not in "=+-@" and meant(written) == cell and number == "-1.5"


@given(st.lists(st.text("\\; a").map(str.strip), min_size=1))
def test_values_are_parted_as_they_were_joined(values: list[str]) -> None:
    assert parted(joined(values)) == values


def test_what_people_write_into_a_cell_means_what_it_says() -> None:
    assert parted("ink; C:\\loras\\; pen") == ["ink", "C:\\loras; pen"]
    assert parted("C:\\loras\\") == ["C:\\loras\\"]
    assert joined(["a", "b; c", "d\\"]) == "a; b\\; c; d\\"
    assert joined(["d\\", "a"]) == "d\\\\; a"
    assert joined([]) == ""
