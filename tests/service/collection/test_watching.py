"""Watching: what rests is indexed, what is being written is left."""

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lorajax.errors import LibraryError
from lorajax.library import Library
from lorajax.service.collection import watching
from lorajax.service.collection.watching import QUIET_SECONDS, changes_in, quiet_moments

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
