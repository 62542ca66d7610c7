"""Damage is told, what can be read is saved, and the damaged file is kept."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lorajax.errors import LibraryError
from lorajax.library import Facts, FileStamp, Library, Place, Told
from lorajax.library.store.schema import unusable
from lorajax.service.collection import keeping
from tests.library.fakes import vector_of

OLDER = Path(__file__).parents[2] / "data" / "library"
SPACE = "sd15:base-space-2:none"
COUNT = 400
PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A library of many LoRAs, closed."""
    with Library.open(tmp_path / "library.sqlite") as library, library.transaction():
        for i in range(COUNT):
            place = Place(_path(i), FileStamp(1, 2, i), "h", Told(title=f"title {i}"))
            vectors = {SPACE: np.resize(vector_of(str(i)), 256)}
            library.upsert(f"key{i}", Facts(f"name{i}", "sd15"), place, vectors)
        library.set_current_space("sd15", SPACE)
    return tmp_path / "library.sqlite"


def _path(number: int) -> Path:
    return Path(f"/loras/{number}.safetensors")


MIDDLE = COUNT // 2
# Table → bytes that stand in one of its leaf pages and in no index.
ROWS = {
    "loras": f"key{MIDDLE}name{MIDDLE}sd15".encode(),
    "paths": f"{_path(MIDDLE)}key{MIDDLE}".encode(),
    "vectors": np.resize(vector_of(str(MIDDLE)), 256).tobytes(),
    "meta": f"space:sd15{SPACE}".encode(),
}


def _spoil(path: Path, table: str) -> None:
    """Overwrites a leaf page in the middle of a table."""
    page = path.read_bytes().index(ROWS[table]) // PAGE
    with open(path, "r+b") as file:
        file.seek(page * PAGE)
        file.write(b"\xff" * PAGE)


def test_a_whole_library_is_whole(path: Path) -> None:
    assert keeping.check(path, repair=True).damages == ()
    assert [p.name for p in path.parent.glob("*.sqlite")] == ["library.sqlite"]


@pytest.mark.parametrize("table", list(ROWS))
def test_what_can_be_read_is_saved(path: Path, table: str) -> None:
    _spoil(path, table)
    damaged = path.read_bytes()
    assert keeping.check(path).damages
    found = keeping.check(path, repair=True)
    assert found.saved is not None
    assert Path(found.kept).read_bytes() == damaged
    assert keeping.check(path).damages == ()
    lost = {name: COUNT - found.saved[name] for name in ("loras", "paths", "vectors")}
    assert max(lost.values()) < COUNT // 3
    if table == "vectors":
        assert lost["loras"] == lost["paths"] == 0 < lost["vectors"] < 10
    with Library.open(path) as library:
        for entry in library.entries():
            if entry.paths:
                number = entry.key.removeprefix("key")
                assert entry.told.title == f"title {number}"
                assert entry.path == str(_path(int(number)))
        keys, matrix = library.vectors(SPACE)
        for key, vector in zip(keys, matrix, strict=True):
            expected = np.resize(vector_of(key.removeprefix("key")), 256)
            np.testing.assert_array_equal(vector, expected)
        query = "SELECT COUNT(*) FROM texts WHERE texts MATCH 'title'"
        titled = sum(bool(entry.paths) for entry in library.entries())
        assert library.query(query) == [(titled,)]


def test_a_first_library_is_checked_and_not_repaired(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite"
    old = sqlite3.connect(path, isolation_level=None)
    old.executescript((OLDER / "version-1.sql").read_text(encoding="utf-8"))
    assert keeping.check(path, repair=True).damages == ()
    old.execute("PRAGMA foreign_keys = OFF")
    old.execute("INSERT INTO paths VALUES ('/stray', 'nobody', 1, 2, 3, 0)")
    old.close()
    assert keeping.check(path).damages == ("a row of paths belongs to no LoRA",)
    with pytest.raises(LibraryError, match="found an older one"):
        keeping.check(path, repair=True)
    assert [p.name for p in tmp_path.glob("*.sqlite")] == ["library.sqlite"]


def test_an_older_damaged_library_is_saved_with_its_paths_and_tags(
    tmp_path: Path,
) -> None:
    path = tmp_path / "library.sqlite"
    with closing(sqlite3.connect(path)) as old:
        old.executescript((OLDER / "version-2.sql").read_text(encoding="utf-8"))
        old.execute("DELETE FROM texts WHERE rowid = 1")
        old.commit()
    saved = keeping.check(path, repair=True).saved
    assert saved is not None and (saved["loras"], saved["paths"]) == (2, 3)
    with Library.open(path) as library:
        tags = [entry.facts.tags for entry in library.entries()]
        assert tags == [("水墨",), ("oil", "thick")]
        assert library.query("SELECT tags FROM texts") == [("水墨",), ("oil\nthick",)]


def test_a_library_in_use_is_not_repaired(path: Path) -> None:
    _spoil(path, "vectors")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LibraryError, match="in use by another process"):
        keeping.check(path, repair=True)
    other.close()
    assert [p.name for p in path.parent.glob("*.sqlite")] == ["library.sqlite"]


def test_a_file_of_which_nothing_can_be_read_stays_where_it_is(path: Path) -> None:
    path.write_bytes(b"\xff" * 100_000)
    assert keeping.check(path).damages == ("file is not a database",)
    with pytest.raises(LibraryError, match="found none") as caught:
        keeping.check(path, repair=True)
    assert "move it away" in caught.value.hint
    assert [p.name for p in path.parent.iterdir()] == ["library.sqlite"]


def test_a_full_disk_stops_a_run_and_says_so(path: Path) -> None:
    with Library.open(path) as library:
        library.query("PRAGMA max_page_count = 1")
        with pytest.raises(LibraryError, match="found a full disk"):
            for i in range(200):
                place = Place(Path(f"/new/{i}"), FileStamp(1, 2, 3), "h" * 999)
                library.upsert(f"new{i}", Facts("name", "sd15"), place)
        assert len(library.entries()) >= COUNT


def test_a_place_that_cannot_be_written_is_named() -> None:
    words = "attempt to write a readonly database"
    error = unusable(Path("library.sqlite"), sqlite3.OperationalError(words))
    assert "found a read-only file or folder" in error.message
    assert "--library" in error.hint


def test_a_library_that_was_copied_or_moved_opens(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "mine"
    shutil.copytree(path.parent, copy, ignore=shutil.ignore_patterns("elsewhere"))
    moved = path.parent / "renamed.sqlite"
    path.rename(moved)
    for place in (copy, moved):
        with Library.open(place, create=False) as library:
            assert len(library.entries()) == len(library.vectors(SPACE)[0]) == COUNT


def test_info_counts_what_is_there(path: Path) -> None:
    with Library.open(path) as library:
        library.mark_missing([str(_path(0))])
    found = keeping.info(path)
    assert (found.loras, found.files, found.missing) == (COUNT, COUNT, 1)
    assert found.base_models == {"sd15": COUNT - 1}
    assert found.spaces == {SPACE: COUNT} and found.current == {"sd15": SPACE}
    assert (found.version, found.bundle) == (4, "") and found.bytes > 2**18


def test_folders_that_are_gone_for_good_can_be_forgotten(path: Path) -> None:
    assert keeping.forget_missing(path) == 0
    with Library.open(path) as library:
        library.mark_missing([str(_path(0))])
    assert keeping.forget_missing(path) == 1
    assert keeping.forget_missing(path, [Path("/elsewhere")]) == 0
    assert keeping.forget_missing(path, [Path("/loras")]) == COUNT - 1
