"""A matrix follows the library through everything that happens to its files."""

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lorajax.library.vectors import open_matrix, table
from lorajax.library.vectors.state import FILE_NAME
from tests.library.vectors.stored import SPACE, Stored, copy_of, unit_rows


def test_an_empty_space_has_no_matrix(stored: Stored) -> None:
    assert open_matrix(stored.connection, stored.folder, SPACE) is None


def test_rows_are_the_vectors_in_the_order_of_writing(stored: Stored) -> None:
    rows = unit_rows(30)
    stored.put(3 * rows)
    matrix = stored.open()
    np.testing.assert_allclose(matrix.rows, rows, atol=1e-6)
    assert np.all(np.diff(matrix.ids) > 0)


def test_new_vectors_are_appended_to_the_same_file(stored: Stored) -> None:
    stored.put(unit_rows(30))
    before = stored.check()
    stored.put(unit_rows(5, seed=1), first=30)
    after = stored.check()
    assert after.file == before.file and len(stored.files()) == 1
    np.testing.assert_array_equal(after.ids[:30], before.ids)
    assert len(before) == 30  # who opened it then still has what was there then


def test_removed_vectors_are_passed_over_until_they_are_many(stored: Stored) -> None:
    stored.put(unit_rows(40))
    before = stored.check()
    stored.drop(3, 39)
    few = stored.check()
    assert few.file == before.file and len(few.rows) == 40
    stored.drop(*range(10, 20))
    many = stored.check()
    assert many.file != before.file and len(many.rows) == 28
    assert [path.name for path in stored.files()] == [many.file]


def test_a_vector_that_is_written_again_replaces_its_row(stored: Stored) -> None:
    stored.put(unit_rows(20))
    stored.check()
    stored.put(unit_rows(1, seed=9), first=7)
    stored.check()


def test_a_space_that_is_filled_anew_may_have_another_width(stored: Stored) -> None:
    stored.put(unit_rows(20, 12))
    stored.check()
    stored.drop(*range(20))
    stored.put(unit_rows(15, 31))
    assert stored.check().rows.shape == (15, 31)


def test_two_widths_in_one_space_are_an_error(stored: Stored) -> None:
    stored.put(unit_rows(20, 12))
    stored.check()
    stored.put(unit_rows(1, 13), first=20)
    with pytest.raises(table.WidthError, match="vectors of 12 numbers"):
        stored.open()


def test_every_space_has_a_file_of_its_own(stored: Stored) -> None:
    stored.put(unit_rows(9))
    stored.put(unit_rows(4, 6), first=100, space="sd1:other:encoder")
    stored.check()
    other = open_matrix(stored.connection, stored.folder, "sd1:other:encoder")
    assert other is not None and other.rows.shape == (4, 6)
    assert len(stored.files()) == 2


@pytest.mark.parametrize("seed", range(6))
def test_a_file_that_was_cut_is_made_anew(stored: Stored, seed: int) -> None:
    stored.put(unit_rows(30))
    path = stored.folder / stored.open().file
    with path.open("r+b") as file:
        file.truncate(int(np.random.default_rng(seed).integers(0, path.stat().st_size)))
    assert stored.check().file != path.name


@pytest.mark.parametrize("seed", range(6))
def test_a_file_with_another_byte_is_made_anew(stored: Stored, seed: int) -> None:
    stored.put(unit_rows(30))
    path = stored.folder / stored.open().file
    held = bytearray(path.read_bytes())
    held[np.random.default_rng(seed).integers(len(held))] ^= 1
    path.write_bytes(held)
    assert stored.check().file != path.name


@pytest.mark.parametrize("left", [b"", b"x" * 100_000])
def test_a_state_that_cannot_be_read_is_made_anew(stored: Stored, left: bytes) -> None:
    stored.put(unit_rows(30))
    stored.check()
    (stored.folder / FILE_NAME).write_bytes(left)
    stored.check()
    assert len(stored.files()) == 1


def test_a_state_of_nonsense_is_made_anew(stored: Stored) -> None:
    stored.put(unit_rows(30))
    stored.check()
    for change in ("file = '../library.sqlite'", "rows = 'many'", "width = -1"):
        with sqlite3.connect(stored.folder / FILE_NAME) as connection:
            connection.execute(f"UPDATE states_1 SET {change}")
        connection.close()
        stored.check()


def test_a_file_that_is_gone_is_made_anew(stored: Stored) -> None:
    stored.put(unit_rows(30))
    (stored.folder / stored.open().file).unlink()
    stored.check()
    shutil.rmtree(stored.folder)
    stored.check()


@pytest.mark.parametrize("written", [1, 700, 5000])
def test_a_writer_killed_while_appending_leaves_nothing_behind(
    stored: Stored, written: int
) -> None:
    """The state is written last: bytes behind its rows do not count."""
    stored.put(unit_rows(30))
    before = stored.open()
    with (stored.folder / before.file).open("ab") as file:
        file.write(b"\xff" * written)
    assert stored.check().file == before.file
    stored.put(unit_rows(8, seed=1), first=30)
    assert stored.check().file == before.file


def test_a_writer_killed_while_making_a_file_leaves_one_that_is_swept(
    stored: Stored,
) -> None:
    stored.put(unit_rows(30))
    stored.check()
    (stored.folder / "0123456789abcdef.rows").write_bytes(b"half")
    stored.put(unit_rows(8, seed=1), first=30)
    used = stored.check().file
    assert [path.name for path in stored.files()] == [used]


def test_a_library_that_moved_keeps_its_files(stored: Stored, tmp_path: Path) -> None:
    stored.put(unit_rows(30))
    before = stored.check()
    stored.close()
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.copy(stored.path, moved)
    shutil.copytree(stored.folder, moved / stored.folder.name)
    copied = Stored(moved / stored.path.name, stored.truth)
    assert copied.check().file == before.file
    copied.close()


def test_a_restored_backup_does_not_get_vectors_that_were_written_after_it(
    stored: Stored, tmp_path: Path
) -> None:
    """Both histories go on from the same row, with the same number of vectors."""
    stored.put(unit_rows(30))
    backup = Stored(copy_of(stored.connection, tmp_path / "backup.sqlite"))
    backup.truth = dict(stored.truth)
    stored.put(unit_rows(10, seed=1), first=30)
    stored.check()
    backup.put(unit_rows(10, seed=2), first=30)
    shutil.copytree(stored.folder, backup.folder)
    backup.check()
    backup.close()


def test_another_library_in_the_same_place_is_noticed(stored: Stored) -> None:
    stored.put(unit_rows(30))
    stored.check()
    stored.connection.execute("DELETE FROM vectors")
    stored.connection.execute("DELETE FROM sqlite_sequence")
    stored.truth.clear()
    stored.put(unit_rows(30, seed=5))
    stored.check()


def test_a_folder_that_cannot_be_written_costs_time_and_is_told(
    stored: Stored,
) -> None:
    stored.put(unit_rows(30))
    stored.folder.write_text("a file in the folder's place")
    matrix = stored.check()
    assert matrix.file == "" and str(stored.folder) in matrix.note


_REFRESH = """
import sqlite3, sys
from pathlib import Path
import numpy as np
from lorajax.library.vectors import open_matrix, vectors_folder
path, space, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for _ in range(rounds):
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    expected = dict(connection.execute("SELECT id, vector FROM vectors"))
    matrix = open_matrix(connection, vectors_folder(path), space)
    assert matrix is not None and matrix.note == "", matrix and matrix.note
    known = set(expected) & set(matrix.ids[matrix.alive].tolist())
    for row in np.flatnonzero(matrix.alive).tolist():
        if (id_ := int(matrix.ids[row])) in known:
            vector = np.frombuffer(expected[id_], "<f4")
            assert np.abs(matrix.rows[row] - vector).max() < 1e-6
    connection.close()
"""


def test_processes_that_refresh_at_once_all_have_the_right_rows(
    stored: Stored,
) -> None:
    """While so many vectors are written and removed that files are replaced."""
    stored.put(unit_rows(400))
    command = [sys.executable, "-c", _REFRESH, str(stored.path), SPACE, "25"]
    others = [
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    number = 400
    while any(other.poll() is None for other in others):
        stored.put(unit_rows(20, seed=number), first=number)
        stored.drop(*range(number - 400, number - 385))
        number += 20
        stored.open()
    assert [other.communicate()[1] for other in others] == ["", ""]
    stored.check()
