"""The library facade, progress lines, and indexing as a process."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lorajax.errors import LibraryError
from lorajax.library import base_space, index
from lorajax.library.store.library import Library
from lorajax.library.vectors import matrix
from lorajax.service.collection import library as service
from lorajax.service.collection.index_job import IndexJob
from lorajax.service.progress import (
    Progress,
    amount,
    at_most_every,
    parse_progress,
    progress_line,
    with_pace,
)
from tests.library.fakes import FakeEmbedder, Reader, write_lora


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A library of four LoRAs."""
    files = [write_lora(tmp_path / f"{n}.safetensors", n) for n in "abcd"]
    with Library.open(tmp_path / "library.sqlite") as library:
        index(library, files, Reader(), FakeEmbedder())
    return tmp_path / "library.sqlite"


def test_the_facade_lists_and_compares(path: Path) -> None:
    assert [entry.name for entry in service.entries(path)] == list("abcd")
    assert sorted(service.columns(path)["name"]) == list("abcd")
    found = service.neighbours(path, "b", k=2)
    assert found.query == "b" and len(found.matches) == 2
    by_key = service.neighbours(path, found.matches[0].key)
    assert by_key.key == found.matches[0].key
    file = path.parent / "b.safetensors"
    assert service.neighbours(path, file, k=2) == found


def test_neighbours_follow_what_is_indexed_later(path: Path) -> None:
    assert service.neighbours(path, "a").searched == 3
    file = write_lora(path.parent / "e.safetensors", "e")
    with Library.open(path) as library:
        index(library, [file], Reader(), FakeEmbedder())
    assert service.neighbours(path, "a").searched == 4


def test_large_spaces_are_told_to_want_an_index_until_they_have_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert service.build_indexes(path) == {}
    before = service.neighbours(path, "a")
    monkeypatch.setattr(matrix, "LARGE", 0)
    assert "no index yet" in service.neighbours(path, "a").note
    told: list[Progress] = []
    assert service.build_indexes(path, told.append) == {base_space("sd15"): 4}
    assert (told[-1].done, told[-1].total) == (4, 4)
    assert service.neighbours(path, "a") == before


def test_a_model_that_is_asked_for_is_the_one_searched(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, embedder = Path("bundle"), FakeEmbedder(encoder="e1")
    opened: list[Path | None] = []

    def open_embedder(model: Path | None) -> FakeEmbedder:
        opened.append(model)
        return embedder if model == bundle else FakeEmbedder()

    monkeypatch.setattr(
        "lorajax.service.collection.embedding.open_embedder", open_embedder
    )
    with pytest.raises(LibraryError, match="no vector in space sd15:basis:e1"):
        service.neighbours(path, "a", model=bundle)
    with Library.open(path) as library:
        index(library, [path.parent / "a.safetensors"], Reader(), embedder)
    assert service.neighbours(path, "a", model=bundle).space == "sd15:basis:e1"
    found = service.neighbours(path, "a", model=service.NO_BUNDLE)
    assert (found.space, found.searched) == ("sd15:base-space-2:none", 3)
    assert opened == [bundle, bundle, service.NO_BUNDLE]


def test_a_file_of_a_base_model_that_the_library_lacks(path: Path) -> None:
    real = Path(__file__).parents[2] / "data" / "real"
    file = next(real.rglob("*.safetensors"))
    with pytest.raises(LibraryError, match="no LoRA of sd1 in this library"):
        service.neighbours(path, file)


def test_a_library_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="no library here yet"):
        service.entries(tmp_path / "none.sqlite")


def test_the_screens_need_no_jax() -> None:
    modules = "collection.library collection.index_job learning.runs learning.curves"
    heavy = "jax flax optax orbax sklearn"
    code = f"""
import sys
for name in "{modules} learning.configs".split():
    __import__(f"lorajax.service.{{name}}")
found = [name for name in "{heavy}".split() if name in sys.modules]
sys.exit(f"imported: {{found}}" if found else 0)
"""
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    "progress",
    [
        Progress("indexing", 3, 10, "ink · wash.safetensors"),
        Progress("scanning"),
        Progress("indexing", 3, 10, "two\nlines"),
        Progress("indexing", 3, 10, "ink (2).safetensors", "1.2 of 3.4 GB"),
        Progress("indexing", 3, 10, "", "1.2 of 3.4 GB, 1 refused"),
    ],
)
def test_a_progress_line_can_be_read_back(progress: Progress) -> None:
    found = parse_progress(progress_line(progress))
    assert found is not None
    assert (found.stage, found.done, found.total) == (
        progress.stage,
        progress.done,
        progress.total,
    )
    assert found.note == " ".join(progress.note.split())
    assert found.aside == progress.aside
    assert parse_progress("warning: something else") is None


def test_progress_is_thinned_but_keeps_its_ends() -> None:
    seen: list[int] = []
    report = at_most_every(60.0, lambda progress: seen.append(progress.done))
    for done in range(11):
        report(Progress("indexing", done, 10))
    assert seen == [0, 10]


def test_progress_tells_its_pace_stage_by_stage() -> None:
    seen: list[str] = []
    times = iter([0.0, 1.0, 3.0, 10.0, 12.0, 16.0])
    report = with_pace(lambda progress: seen.append(progress.aside), times.__next__)
    report(Progress("reading headers", 0, 10, aside="0.0 of 5.0 MB"))
    report(Progress("reading headers", 2, 10, aside="1.0 of 5.0 MB"))
    report(Progress("reading headers", 6, 10, aside="3.0 of 5.0 MB"))
    report(Progress("indexing", 2, 1000))
    report(Progress("indexing", 3, 1000))
    report(Progress("indexing", 5, 1000))
    assert seen == [
        "0.0 of 5.0 MB",
        "1.0 of 5.0 MB",
        "3.0 of 5.0 MB, 2.0/s, 2 s left",
        "",
        "",
        "0.5/s, 33 min left",
    ]


def test_compiling_does_not_count_as_pace() -> None:
    """The first LoRA of the demo takes half a minute, the others a second each."""
    seen: list[str] = []
    times = iter([0.0, 24.0, 25.0, 26.0])
    report = with_pace(lambda progress: seen.append(progress.aside), times.__next__)
    for done in range(4):
        report(Progress("training demo LoRAs", done, 192))
    assert seen == ["", "", "", "1.0/s, 3 min left"]


def test_bytes_are_told_in_the_unit_of_the_whole() -> None:
    assert amount(1_200_000_000, 40_100_000_000) == "1.2 of 40.1 GB"
    assert amount(0, 10) == "0.0 of 0.0 kB"


FAKE_INDEX = """
import json, os, sys
print("indexing: 1/2 · a.safetensors", file=sys.stderr)
print("a word of warning", file=sys.stderr)
print("indexing: 2/2", file=sys.stderr)
if "bad" in sys.argv[1]:
    sys.exit(1)
long = "x" * 300_000 if "long" in sys.argv[1] else ""
threads = os.environ["LORAJAX_THREADS"]
print(json.dumps({"words": sys.argv[1:], "threads": threads, "long": long}))
"""


def test_an_index_job_tells_its_progress_and_its_report(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FAKE_INDEX]
    job = IndexJob([tmp_path], tmp_path / "l.sqlite", command=command)
    assert [progress.done for progress in job.progress()] == [1, 2]
    report = job.report()
    words = [str(tmp_path), "--library", str(tmp_path / "l.sqlite"), "--json"]
    assert report["words"] == words
    assert int(report["threads"]) == max(1, (os.cpu_count() or 1) - 1)


def test_a_report_longer_than_a_pipe_holds_nobody_up(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FAKE_INDEX]
    job = IndexJob([tmp_path / "long"], tmp_path / "l.sqlite", command=command)
    watchdog = threading.Timer(20.0, job.cancel)
    watchdog.start()
    assert len(list(job.progress())) == 2
    watchdog.cancel()
    assert len(job.report()["long"]) == 300_000


def test_a_failed_index_job_says_what_it_said(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FAKE_INDEX]
    job = IndexJob([tmp_path / "bad"], tmp_path / "l", command=command)
    assert len(list(job.progress())) == 2
    with pytest.raises(LibraryError, match=r"exit code 1\): a word of warning"):
        job.report()
    job.cancel()


def test_a_bundle_that_moved_is_named_with_the_ways_out(tmp_path: Path) -> None:
    with Library.open(tmp_path / "library.sqlite") as library:
        library.set_meta(service.BUNDLE, str(tmp_path / "gone"))
        with pytest.raises(LibraryError, match="expected the bundle") as error:
            service.bundle_of(library, None)
        assert "--model none" in error.value.hint
        assert service.bundle_of(library, service.NO_BUNDLE) is None
