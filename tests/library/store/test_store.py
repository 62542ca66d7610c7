"""The store: what is written comes back, and what is no library is refused."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lorajax.errors import LibraryError
from lorajax.library import (
    Facts,
    FileStamp,
    Library,
    Place,
    Refusal,
    Told,
    Waiting,
    default_path,
)
from lorajax.library.searching import Filters
from lorajax.library.searching.candidates import listed

STAMP = FileStamp(10, 20, 30)
OLDER = Path(__file__).parents[2] / "data" / "library"
FACTS = Facts("ink", "sd15", rank_max=8, warnings=("odd",), tags=("水墨", "[red]"))


def test_an_entry_comes_back_as_it_was_written(library: Library) -> None:
    library.upsert("k1", FACTS, Place(Path("/a/ink.safetensors"), STAMP))
    (entry,) = library.entries()
    assert entry.facts == FACTS
    assert entry.path == str(Path("/a/ink.safetensors"))
    assert library.entry("k1") == entry and library.entry("k2") is None


def test_columns_agree_with_the_entries(library: Library) -> None:
    library.upsert("k1", FACTS, Place(Path("/a"), STAMP))
    library.upsert("k2", Facts("oil", "flux1"), Place(Path("/b"), STAMP))
    library.mark_missing([str(Path("/b"))])
    columns = library.columns()
    entries = [library.entry(key) for key in columns["key"]]
    assert [e.name for e in entries if e] == columns["name"]
    assert columns["missing"] == [e.missing for e in entries if e] == [False, True]
    assert columns["tags"] == ["水墨, [red]", ""]
    assert library.columns(1)["name"] == [min(columns["name"], key=str.lower)]


def test_an_empty_library_has_empty_columns(library: Library) -> None:
    assert set(map(len, library.columns().values())) == {0}


def test_one_lora_may_lie_at_several_paths(library: Library) -> None:
    library.upsert("k1", FACTS, Place(Path("/a/ink.safetensors"), STAMP))
    library.add_place("k1", Place(Path("/b/copy.safetensors"), STAMP))
    library.mark_missing([str(Path("/a/ink.safetensors"))])
    (entry,) = library.entries()
    assert len(entry.paths) == 2 and not entry.missing
    assert entry.path == str(Path("/b/copy.safetensors"))


def test_vectors_come_back_row_by_row(library: Library) -> None:
    expected = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    for i, vector in enumerate(expected):
        library.upsert(f"k{i}", FACTS, Place(Path(f"/a/{i}"), STAMP), {"s:b:e": vector})
    keys, matrix = library.vectors("s:b:e")
    order = np.argsort(keys)
    np.testing.assert_array_equal(matrix[order], expected)
    assert library.spaces() == {"s:b:e": 5}


def test_unit_rows_are_those_that_are_left(library: Library) -> None:
    rows = np.random.default_rng(4).normal(size=(6, 5)).astype(np.float32)
    for i, row in enumerate(rows):
        library.upsert(f"{i}", FACTS, Place(Path(f"/a/{i}"), STAMP), {"s:b:e": row})
    assert sorted(library.unit_rows("s:b:e")[0]) == [f"{i}" for i in range(6)]
    library.execute("DELETE FROM vectors WHERE key = '2'")
    library.write_vector("4", "s:b:e", -rows[4])
    rows[4] *= -1
    keys, found = library.unit_rows("s:b:e")
    assert sorted(keys) == ["0", "1", "3", "4", "5"]
    wanted = rows[[int(key) for key in keys]]
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_forgetting_missing_files_takes_their_vectors_along(library: Library) -> None:
    for name in ("a", "b"):
        vector = np.ones(3, np.float32)
        library.upsert(name, FACTS, Place(Path(f"/{name}"), STAMP), {"s:b:e": vector})
    library.mark_missing([str(Path("/a"))])
    assert [entry.missing for entry in library.entries()] == [True, False]
    assert library.forget_missing() == 1
    assert library.keys_in("s:b:e") == {"b"}


def test_a_refused_file_loses_its_entry_until_it_is_good_again(
    library: Library,
) -> None:
    library.upsert("k1", FACTS, Place(Path("/a"), STAMP))
    library.refuse(Refusal(str(Path("/a")), "truncated", "copy it again"))
    assert library.forget_pathless() == 1
    assert library.entries() == [] and len(library.refused()) == 1
    library.upsert("k1", FACTS, Place(Path("/a"), STAMP))
    assert library.refused() == []


def test_a_reader_sees_what_a_writer_committed(library: Library) -> None:
    with Library.open(library.path, create=False) as reader:
        library.upsert("k1", FACTS, Place(Path("/a"), STAMP))
        assert [entry.key for entry in reader.entries()] == ["k1"]


def test_a_failed_write_leaves_nothing_behind(library: Library) -> None:
    bad = Facts("x", "sd15", rank_max=2**70)
    with pytest.raises(OverflowError):
        library.upsert("k1", bad, Place(Path("/a"), STAMP))
    assert library.entries() == []
    library.upsert("k1", FACTS, Place(Path("/a"), STAMP))


def test_a_missing_library_is_only_made_when_asked(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match=r"no library here yet.*lorajax index"):
        Library.open(tmp_path / "none.sqlite", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite"
    path.write_bytes(b"certainly not a database, and long enough to be one" * 40)
    before = path.read_bytes()
    with pytest.raises(LibraryError, match="damaged or foreign"):
        Library.open(path)
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.close()
    with pytest.raises(LibraryError, match="another program's database"):
        Library.open(path)


def test_a_library_of_another_version_is_refused(library: Library) -> None:
    library.close()
    raw = sqlite3.connect(library.path)
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(LibraryError, match="expected library version 4 or older"):
        Library.open(library.path)


def older(folder: Path, version: int) -> Path:
    """A library as an older version wrote it."""
    path = folder / "library.sqlite"
    old = sqlite3.connect(path, isolation_level=None)
    old.executescript((OLDER / f"version-{version}.sql").read_text(encoding="utf-8"))
    old.close()
    return path


def test_a_library_of_version_1_is_brought_up_to_date(tmp_path: Path) -> None:
    path = older(tmp_path, 1)
    with Library.open(path) as library:
        (ink, oil) = library.entries()
        assert (ink.name, ink.facts.norm, ink.facts.tags) == ("ink", 2.5, ("水墨",))
        assert ink.paths == ("/a/ink.safetensors", "/b/ink.safetensors")
        assert oil.missing and oil.facts.fingerprint == ""
        assert library.outdated() == {"k1", "k2"}
        keys, matrix = library.vectors("sd15:base-space-1:none")
        assert keys == ["k1", "k2"]
        np.testing.assert_array_equal(matrix, [[1, 0], [0, 1]])
        assert library.refused() == [Refusal("/c", "truncated", "copy it again")]
        assert library.current_space("sd15") == "sd15:base-space-1:none"
        found = library.query("SELECT name FROM texts WHERE texts MATCH 'safetensors'")
        assert sorted(found) == [("ink",), ("oil",)]
        library.upsert("k1", FACTS, Place(Path("/a/ink.safetensors"), STAMP))
        assert library.outdated() == {"k2"}
    with sqlite3.connect(path) as raw:
        tables = raw.execute("SELECT name FROM sqlite_master WHERE name LIKE 'old%'")
        assert tables.fetchall() == []
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_library_of_version_2_keeps_labels_from_now_on(tmp_path: Path) -> None:
    with Library.open(older(tmp_path, 2)) as library:
        (ink, oil) = library.entries()
        assert (ink.told.title, oil.facts.tags) == ("Ink", ("oil", "thick"))
        assert library.outdated() == set()
        library.drop_paths(oil.paths[:1])
        assert library.entries()[1].facts.tags == ("oil", "thick")
        library.drop_paths(ink.paths)
        assert library.forget_pathless() == 1
        assert library.query("SELECT * FROM labels") == []
        library.upsert("k1", FACTS, Place(Path("/a"), STAMP))
        found = library.query("SELECT key, value, source FROM labels")
        assert found == [("k1", "wash", "person")]


def test_words_of_sidecars_are_found_until_their_file_goes(library: Library) -> None:
    told = Told(title="水墨画の世界", trigger_words=("inkwash",), epoch=3)
    library.upsert("k1", FACTS, Place(Path("/a/ink.safetensors"), STAMP, "h", told))
    library.add_place("k1", Place(Path("/b/other.safetensors"), STAMP))
    entry = library.entry("k1")
    assert entry is not None and entry.told == told
    for word in ("水墨画", "nkwas", "other"):
        assert _matching(library, word) == [("ink",)]
    library.drop_paths([str(Path("/a/ink.safetensors"))])
    assert _matching(library, "nkwas") == [] and _matching(library, "other")
    library.drop_paths([str(Path("/b/other.safetensors"))])
    assert listed(library, Filters(text="other")) == []
    assert library.forget_pathless() == 1
    assert library.query("SELECT COUNT(*) FROM texts") == [(0,)]


def _matching(library: Library, word: str) -> list[tuple]:
    return library.query("SELECT name FROM texts WHERE texts MATCH ?", f'"{word}"')


def test_a_lora_has_the_tags_of_all_its_files(library: Library) -> None:
    one, other = Path("/a/ink.safetensors"), Path("/b/other.safetensors")
    library.upsert("k1", FACTS, Place(one, STAMP))
    library.add_place("k1", Place(other, STAMP, tags=("wet", "水墨")))
    assert _tags(library) == ("水墨", "[red]", "wet")
    library.upsert("k1", replace(FACTS, tags=()), Place(other, STAMP))
    assert _tags(library) == ("水墨", "[red]")
    library.drop_paths([str(one)])
    assert _tags(library) == ()


def _tags(library: Library) -> tuple[str, ...]:
    entry = library.entry("k1")
    return entry.facts.tags if entry else ()


def test_a_file_waits_until_it_is_read_or_refused(library: Library) -> None:
    files = [
        Waiting(Path(f"/{n}"), STAMP, n, "sd15", "kohya", "lora", 264) for n in "abc"
    ]
    library.wait_for(files)
    library.wait_for(files[:1])
    assert library.waiting() == files
    library.upsert("k", FACTS, Place(Path("/a"), STAMP))
    library.refuse(Refusal(str(Path("/b")), "truncated"))
    assert library.waiting() == files[2:]
    library.stop_waiting([str(Path("/c"))])
    assert library.waiting() == []


def test_a_damaged_page_is_an_error_with_advice(library: Library) -> None:
    for i in range(300):
        library.upsert(f"k{i}", FACTS, Place(Path(f"/{i}"), STAMP))
    library.close()
    size = library.path.stat().st_size
    with open(library.path, "r+b") as file:
        file.seek(4096 * 2)
        file.write(b"\xff" * (size - 4096 * 3))
    with Library.open(library.path) as damaged, pytest.raises(LibraryError) as caught:
        damaged.entries()
    assert "damaged" in caught.value.message


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LibraryError, match="cannot be opened or written"):
        Library.open(tmp_path / "file" / "library.sqlite")


def test_the_default_place_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORAJAX_LIBRARY", str(tmp_path))
    assert default_path() == tmp_path / "library.sqlite"
    monkeypatch.setenv("LORAJAX_LIBRARY", str(tmp_path / "mine.db"))
    assert default_path() == tmp_path / "mine.db"
    monkeypatch.delenv("LORAJAX_LIBRARY")
    assert default_path().name == "library.sqlite"
