"""The feature cache: what it gives back, and when it is written."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorajax.dataset import feature_cache
from lorajax.dataset.feature_cache import FeatureCache, Known
from lorajax.dataset.feature_folders import open_cache
from lorajax.dataset.feature_records import unpacked
from lorajax.errors import DatasetError
from lorajax.projection.features import Features
from tests.dataset.cached import BASIS, MODULES, WIDTH, made, opened, same

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
