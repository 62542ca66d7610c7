"""Folders of cached features: damage is set aside, the oldest are removed."""

import logging
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lorajax.dataset.feature_folders import open_cache, prune
from lorajax.errors import DatasetError
from tests.dataset.cached import BASIS, MODULES, WIDTH, made, opened, same

DATA, INDEX = Path(BASIS, "scores.bin"), Path(BASIS, "index.sqlite")


def cut_data(root: Path) -> None:
    os.truncate(root / DATA, (root / DATA).stat().st_size - 1)


def lose_data(root: Path) -> None:
    (root / DATA).unlink()


def overwrite_index(root: Path) -> None:
    (root / INDEX).write_bytes(b"no database at all" * 1000)


def spoil_index(root: Path) -> None:
    content = bytearray((root / INDEX).read_bytes())
    content[4096:] = bytes(255 - byte for byte in content[4096:])
    (root / INDEX).write_bytes(content)


def cut_index(root: Path) -> None:
    os.truncate(root / INDEX, 5000)


def change(root: Path, statement: str) -> None:
    connection = sqlite3.connect(root / INDEX)
    connection.execute(statement)
    connection.commit()
    connection.close()


def other_version(root: Path) -> None:
    change(root, "UPDATE meta SET value = '0' WHERE name = 'version'")


def other_basis(root: Path) -> None:
    with opened(root, "other") as cache:
        cache.put("0", made(5))
    for name in (DATA.name, INDEX.name):
        os.replace(root / "other" / name, root / BASIS / name)


def foreign_index(root: Path) -> None:
    (root / INDEX).unlink()
    change(root, "CREATE TABLE recipes (title TEXT)")


WHOLE = [
    *(cut_data, lose_data, overwrite_index, spoil_index, cut_index),
    *(other_version, other_basis, foreign_index),
]


@pytest.mark.parametrize("damage", WHOLE)
def test_a_damaged_folder_is_set_aside_and_made_anew(
    damage: Callable[[Path], None], filled: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        damage(filled)
        caplog.clear()
        with opened(filled) as cache:
            assert cache.missing(["0", "9"]) == [0, 1]
            cache.put_many([str(i) for i in range(10)], made(*range(10)))
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert "starts anew: expected" in record.getMessage()
        assert (filled / f"{BASIS}.damaged").is_dir()
    with opened(filled) as cache:
        assert same(cache.read(["0", "9"]), made(0, 9))


def test_another_shape_of_records_is_not_trusted(filled: Path) -> None:
    with open_cache(filled, BASIS, WIDTH, MODULES) as cache:
        assert cache.missing(["0"]) == [0]


def test_a_data_file_without_index_is_written_over(filled: Path) -> None:
    (filled / INDEX).unlink()
    with opened(filled) as cache:
        assert cache.missing(["0"]) == [0]
        cache.put("a", made(30))
        assert same(cache.read(["a"]), made(30))


def test_a_torn_tail_is_written_over(filled: Path) -> None:
    with (filled / DATA).open("ab") as file:
        file.write(b"half of a record")
    with opened(filled) as cache:
        cache.put("10", made(10))
        assert same(cache.read(["9", "10"]), made(9, 10))
        assert cache.places(["10"]) == [10]


def flip(root: Path, place: int) -> None:
    """Changes one byte of a row."""
    size = (root / DATA).stat().st_size // 10
    with (root / DATA).open("r+b") as file:
        file.seek(place * size + size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def test_a_spoiled_record_is_missing_until_it_is_put_again(filled: Path) -> None:
    flip(filled, 4)
    with opened(filled) as cache:
        assert cache.missing([str(i) for i in range(10)]) == [4]
        for ask in (cache.read, cache.places):
            with pytest.raises(DatasetError, match="LoRA 4: expected a sound record"):
                ask(["3", "4"])
        cache.put("4", made(4))
        assert same(cache.read(["3", "4", "5"]), made(3, 4, 5))
        assert cache.places(["4"]) == [4]
        assert len(cache) == 10


def test_a_record_spoiled_while_it_is_open_is_not_returned(filled: Path) -> None:
    with opened(filled) as cache:
        assert cache.missing(["4"]) == []
        flip(filled, 4)
        with pytest.raises(DatasetError, match="LoRA 4: expected a sound record"):
            cache.read(["4"])
        assert cache.missing(["4"]) == [0]
        cache.put("4", made(4))
        assert same(cache.read(["4"]), made(4))


def test_a_damaged_folder_that_is_open_elsewhere_stays(filled: Path) -> None:
    with opened(filled) as cache:
        cut_data(filled)
        with pytest.raises(DatasetError, match="another process has it open"):
            opened(filled)
        with pytest.raises(DatasetError, match="expected 16560 bytes, found 16559"):
            cache.read(["3"])
    opened(filled).close()
    assert (filled / f"{BASIS}.damaged").is_dir()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(DatasetError, match="cannot be read or written"):
        opened(tmp_path / "file")


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """The caches `old`, `mid` and `new`, of one record each, beside a stranger."""
    for age, name in enumerate(["new", "mid", "old"]):
        with opened(tmp_path, name) as cache:
            cache.put("key", made(1))
        used = time.time() - 1000 * (age + 1)
        os.utime(tmp_path / name / "scores.bin", (used, used))
    (tmp_path / "stranger").mkdir()
    (tmp_path / "stranger" / "big").write_bytes(bytes(10**6))
    return tmp_path


def size_of(root: Path, *names: str) -> int:
    return sum(f.stat().st_size for name in names for f in (root / name).iterdir())


def test_pruning_removes_what_was_unused_for_longest(three: Path) -> None:
    assert prune(three, [], size_of(three, "old", "mid", "new")) == []
    assert prune(three, [], size_of(three, "mid", "new")) == ["old"]
    opened(three, "mid").close()  # a use
    assert prune(three, [], size_of(three, "mid")) == ["new"]
    assert prune(three, ["mid"], 0) == []
    assert prune(three, [], 0) == ["mid"]
    assert (three / "stranger" / "big").exists()
    assert prune(three / "nowhere", [], 0) == []


def test_pruning_spares_what_is_kept_or_open(three: Path) -> None:
    with opened(three, "mid") as cache:
        assert prune(three, {"old"}, 0) == ["new"]
        cache.put("more", made(2))
        assert same(cache.read(["key", "more"]), made(1, 2))
    with opened(three, "mid") as cache:
        assert same(cache.read(["key", "more"]), made(1, 2))


def test_pruning_removes_what_was_set_aside(three: Path) -> None:
    os.truncate(three / "new" / "scores.bin", 0)
    opened(three, "new").close()
    assert prune(three, ["new", "mid", "old"], 0) == ["new.damaged"]
