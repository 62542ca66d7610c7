"""Watching: what rests is indexed, what is being written is left."""

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorajax.errors import LibraryError
from lorajax.library import Library
from lorajax.service.collection import watching
from lorajax.service.collection.indexing import index_folders
from lorajax.service.collection.library import bundle_of
from lorajax.service.collection.watching import QUIET_SECONDS, changes_in, quiet_moments
from lorajax.service.progress import Progress
from tests.library.fakes import FakeEmbedder

REAL = Path(__file__).parents[2] / "data" / "real"


def test_a_change_is_told_when_it_rests_and_a_busy_one_holds_up_none() -> None:
    events: list[set[str]] = [
        {"a", "b"},
        {"b"},
        set(),
        {"b"},
        {"b"},
        set(),
        set(),
        set(),
    ]
    times = itertools.count(0.0, 1.0)
    found = list(quiet_moments(events, lambda: next(times)))
    # a rests from 0 on and is told at 2, b from 4 on and is told at 6.
    assert QUIET_SECONDS == 2.0
    assert found == [{"b"}, set()]


def test_nothing_is_told_while_nothing_changes() -> None:
    times = itertools.count(0.0, 1.0)
    assert list(quiet_moments([set()] * 9, lambda: next(times))) == []


def _until(changes: Iterator, wanted: str, seconds: float = 20.0) -> set[str]:
    """All that changes until a path does."""
    seen: set[str] = set()
    end = time.monotonic() + seconds
    while wanted not in seen and time.monotonic() < end:
        seen |= set(next(changes))
    return seen


def test_real_changes_are_seen_but_not_those_of_the_library(tmp_path: Path) -> None:
    library = tmp_path / "library.sqlite"
    changes = changes_in([tmp_path], str(library))
    assert not next(changes)
    Library.open(library).close()
    (tmp_path / ".hidden").touch()
    file = tmp_path / "new.safetensors"
    file.write_bytes(b"1")
    assert _until(changes, str(file)) == {str(file)}


def test_a_folder_that_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="expected folders that can be watched"):
        next(changes_in([tmp_path / "none"], "library.sqlite"))


def test_a_new_file_is_indexed_while_it_watches(tmp_path: Path) -> None:
    from lorajax.service.collection.watching import watch_folders

    folder, (first, second) = (
        tmp_path / "loras",
        sorted(REAL.rglob("*.safetensors"))[:2],
    )
    folder.mkdir()
    (folder / first.name).write_bytes(first.read_bytes())
    runs = watch_folders([folder], tmp_path / "library.sqlite")
    assert next(runs).added == 1
    threading.Timer(
        0.1, (folder / "b.safetensors").write_bytes, [second.read_bytes()]
    ).start()
    report = next(run for run in runs if run.has_news)
    assert (report.added, report.unchanged) == (1, 1)


def test_a_refused_file_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "QUIET_SECONDS", 0.2)
    folder = tmp_path / "loras"
    folder.mkdir()
    (folder / "old.safetensors").write_bytes(b"no header")
    runs = watching.watch_folders([folder], tmp_path / "library.sqlite")
    assert [Path(one.path).name for one in next(runs).refused] == ["old.safetensors"]
    for name in ("new", "newer"):
        file = folder / f"{name}.safetensors"
        threading.Timer(0.1, file.write_bytes, [b"no header"]).start()
        report = next(run for run in runs if run.refused)
        assert [(one.path, bool(one.reason)) for one in report.refused] == [
            (str(file), True)
        ]


class Ended(BaseException):
    pass


class BundleEmbedder(FakeEmbedder):
    """Embeds real files, in a space named after what the bundle says of itself."""

    def embed(self, adapter: Any) -> np.ndarray:
        return super().embed(adapter.name)


def test_a_watch_goes_on_with_a_bundle_that_was_asked_for_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, bundle = tmp_path / "library.sqlite", tmp_path / "bundle"
    config, opened = bundle / "config.json", list[Path | None]()
    bundle.mkdir()
    config.write_text("first")

    def open_embedder(model: Path | None) -> BundleEmbedder:
        opened.append(model)
        return BundleEmbedder(config.read_text() if model else "")

    def end(progress: Progress) -> None:
        if progress.stage == "indexing" and progress.done == 1:
            raise Ended

    def told() -> tuple[list[str], Path | None]:
        with Library.open(library) as found:
            spaces = [space.split(":", 1)[1] for space in found.spaces()]
            return spaces, bundle_of(found, None)

    module = "lorajax.service.collection.embedding"
    monkeypatch.setattr(f"{module}.open_embedder", open_embedder)
    monkeypatch.setattr(watching, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(watching, "changes_in", lambda *_: itertools.repeat({"x"}))
    files = sorted(REAL.rglob("*.safetensors"))[:2]
    runs = watching.watch_folders(files, library)
    next(runs)
    assert told() == (["base-space-2:none"], None)
    with pytest.raises(Ended):
        index_folders(files, library, bundle, on_progress=end)
    assert next(runs).embedded == 1
    assert told() == (["basis:first"], bundle)
    config.write_text("second, exported to the same place")
    assert [next(runs).embedded for _ in range(3)] == [2, 0, 0]
    assert told() == (["basis:second, exported to the same place"], bundle)
    assert opened == [None, bundle, bundle, bundle]
