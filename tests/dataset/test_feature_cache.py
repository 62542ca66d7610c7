"""The feature cache: what it gives back, what it survives, and what it removes."""

import logging
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorajax.dataset import feature_cache
from lorajax.dataset.feature_cache import FeatureCache, Known
from lorajax.dataset.feature_folders import open_cache, prune
from lorajax.dataset.feature_records import packed, unpacked
from lorajax.errors import DatasetError
from lorajax.projection.features import Features

BASIS, MODULES, WIDTH = "ba515", 24, 32
CHILD = """
import sys
from pathlib import Path
import numpy as np
from lorajax.dataset.feature_folders import open_cache
from lorajax.projection.features import Features
assert "jax" not in sys.modules
root, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
with open_cache(root, "ba515", 24, 32) as cache:
    for i in range(count):
        scores = np.random.default_rng(i).standard_normal((1, 24, 32)).astype("f4")
        features = Features(scores, np.ones((1, 24), bool))
        cache.put(f"{name}-{i}", features)
        cache.put(f"both-{i}", features)
        if i % 3 == 0:
            cache.flush()
            print(i, flush=True)
"""


def made(*seeds: int) -> Features:
    """Features of LoRAs, each told by its seed; the child processes make the same."""
    shape = (MODULES, WIDTH)
    drawn = [np.random.default_rng(seed).standard_normal(shape) for seed in seeds]
    scores = np.array(drawn, "f4").reshape(-1, *shape)
    return Features(scores, np.ones((len(seeds), MODULES), bool))


def same(found: Features, expected: Features) -> bool:
    """Whether what was read is what a record of it can hold, to the bit."""
    kept = unpacked(packed(expected))
    scores = np.array_equal(found.scores, kept.scores)
    return scores and np.array_equal(found.mask, kept.mask)


def opened(root: Path, basis: str = BASIS) -> FeatureCache:
    return open_cache(root, basis, MODULES, WIDTH)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """The folder of all caches, in which one has the LoRAs `0` to `9`."""
    with opened(tmp_path) as cache:
        cache.put_many([str(i) for i in range(10)], made(*range(10)))
    return tmp_path


@pytest.fixture
def cache(filled: Path) -> Iterator[FeatureCache]:
    with opened(filled) as cache:
        yield cache


# What it gives back

MAGNITUDES = st.one_of(st.just(0.0), st.floats(-20, 20).map(lambda e: 10.0**e))


@settings(max_examples=30, deadline=None)
@given(st.lists(MAGNITUDES, min_size=3, max_size=6), st.integers(0, 2**32 - 1))
def test_scores_of_any_size_come_back_within_half_a_thousandth_of_the_largest(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[float], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.uniform(-1, 1, (1, len(sizes), 7)) ** 5 * np.array(sizes)[:, None]
    given = Features(scores.astype("f4"), rng.random((1, len(sizes))) < 0.8)
    with open_cache(tmp_path_factory.mktemp("one"), BASIS, len(sizes), 7) as cache:
        cache.put("key", given)
        found = cache.read(["key"])
    error = np.abs(found.scores.astype("f8") - given.scores.astype("f8")).max(-1)
    assert (error <= 2.0**-11 * np.abs(given.scores.astype("f8")).max(-1)).all()
    assert found.scores.dtype == np.float32
    assert np.array_equal(found.mask, given.mask)


def test_absent_modules_stay_masked_and_live_zeros_stay_live(tmp_path: Path) -> None:
    scores, mask = made(1).scores, np.ones((1, MODULES), bool)
    scores[0, :2], mask[0, 0] = 0.0, False
    with opened(tmp_path) as cache:
        cache.put("key", Features(scores, mask))
    with opened(tmp_path) as cache:
        found = cache.read(["key"])
    assert found.mask[0].tolist() == [False] + [True] * (MODULES - 1)
    assert not found.scores[0, :2].any()
    assert found.scores[0, 2:].any(-1).all()


def test_reading_follows_the_order_of_the_keys(cache: FeatureCache) -> None:
    assert same(cache.read(["7", "0", "7", "3"]), made(7, 0, 7, 3))
    assert cache.read([]).scores.shape == (0, MODULES, WIDTH)


def test_what_waits_is_known_but_survives_only_a_flush(tmp_path: Path) -> None:
    with opened(tmp_path) as writer, opened(tmp_path) as reader:
        writer.put("a", made(1))
        assert writer.missing(["b", "a", "b"]) == [0, 2]
        assert reader.missing(["a"]) == [0]
        writer.flush()
        assert reader.missing(["a"]) == []
        assert same(reader.read(["a"]), made(1))


def test_putting_a_known_key_changes_nothing(cache: FeatureCache) -> None:
    cache.put("new", made(20))
    cache.put("new", made(21))
    cache.put("3", made(22))
    assert same(cache.read(["new", "3"]), made(20, 3))
    assert len(cache) == 11


@pytest.mark.parametrize(
    ("limit", "value"), [("_BATCH_BYTES", 1), ("_BATCH_SECONDS", 0.0)]
)
def test_a_batch_is_written_by_size_or_age(
    limit: str, value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_cache, limit, value)
    with opened(tmp_path) as writer, opened(tmp_path) as reader:
        writer.put("a", made(1))
        assert same(reader.read(["a"]), made(1))


def test_a_map_holds_all_rows_and_stays_good_while_the_file_grows(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as cache:
        assert cache.mapped().shape == (0,)
        cache.put_many(["a", "b"], made(1, 2))
        rows = cache.mapped()
        cache.put_many([f"more-{i}" for i in range(50)], made(*range(50)))
        places = cache.places(["b", "more-49", "a"])
        assert same(unpacked(cache.mapped()[places]), made(2, 49, 1))
        assert same(unpacked(rows[places[[0, 2]]]), made(2, 1))
        assert sorted(places) == [0, 1, 51]
        assert not rows.flags.writeable


def test_it_says_what_it_knows(cache: FeatureCache) -> None:
    cache.missing(["0", "1", "x"])
    cache.missing(["2"])
    size = 10 * MODULES * (1 + 4 + 2 * WIDTH)
    assert cache.known() == Known(records=10, bytes=size, asked=4, found=3)


def test_a_missing_key_is_named(cache: FeatureCache) -> None:
    for ask in (cache.read, cache.places):
        with pytest.raises(DatasetError, match="LoRA nobody: expected a sound record"):
            ask(["1", "nobody"])


def test_what_does_not_fit_is_refused(cache: FeatureCache, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected scores \(1, 24, 32\)"):
        cache.put("two", made(1, 2))
    with pytest.raises(ValueError, match="letters and digits"):
        opened(tmp_path, "../elsewhere")
    broken = made(1)
    broken.scores[0, 3, 3] = np.nan
    with pytest.raises(DatasetError, match="LoRA nan: expected finite scores"):
        cache.put("nan", broken)
    assert cache.missing(["two", "nan"]) == [0, 1]


def test_a_full_disk_loses_nothing_that_waits(
    cache: FeatureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    cache.put("late", made(11))
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(DatasetError, match="No space left"):
            cache.flush()
    assert same(cache.read(["late", "9"]), made(11, 9))


# Several processes, and their sudden end


def started(root: Path, *names: str, count: int) -> list[subprocess.Popen[str]]:
    """Processes that put `<name>-<i>` and `both-<i>` and print what they flushed."""
    command = [sys.executable, "-c", CHILD, str(root)]
    pipe = subprocess.PIPE
    children = [
        subprocess.Popen([*command, n, str(count)], stdin=pipe, stdout=pipe, text=True)
        for n in names
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    return children


def killed(child: subprocess.Popen[str], after: float) -> int:
    """Kills a process; returns how many of its own LoRAs it had flushed by then."""
    time.sleep(after)
    child.kill()
    lines, _ = child.communicate()
    flushed = [line for line in lines.splitlines(True) if line.endswith("\n")]
    return int(flushed[-1]) + 1 if flushed else 0


def test_killed_writers_lose_nothing_that_was_flushed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rng, most = random.Random(0), 0
    for turn in range(4):
        names = [f"{turn}a", f"{turn}b"]
        children = started(tmp_path, *names, count=10**6)
        flushed = [killed(child, rng.uniform(0, 0.15)) for child in children]
        most = max(most, *flushed)
        with opened(tmp_path) as cache:
            for name, count in [*zip(names, flushed, strict=True), ("both", most)]:
                keys = [f"{name}-{i}" for i in range(count)]
                assert same(cache.read(keys), made(*range(count)))
                assert len(set(cache.places(keys))) == count
    assert most > 0
    assert not caplog.records  # nothing was made anew


def test_two_processes_write_at_once_and_share_a_row(tmp_path: Path) -> None:
    children = started(tmp_path, "a", "b", count=150)
    assert [child.communicate()[0].split()[-1] for child in children] == ["147"] * 2
    names = [f"{name}-{i}" for name in ("a", "b", "both") for i in range(150)]
    with opened(tmp_path) as cache:
        assert len(cache) == len(names)
        assert sorted(cache.places(names)) == list(range(len(names)))
        assert same(cache.read(names), made(*range(150), *range(150), *range(150)))


# Damage

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


# Pruning


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
