"""Two processes that write one library: neither stops the other."""

import shutil
from pathlib import Path

import pytest

from lorajax.library import (
    Describe,
    Description,
    IndexReport,
    Library,
    base_space,
    index,
)
from lorajax.library.indexing import passes
from lorajax.library.indexing.listing import Candidate, look_at
from tests.library.fakes import FakeEmbedder, Reader, write_lora


def run(library: Library, folder: Path, read: Describe | None = None) -> IndexReport:
    files = sorted(folder.glob("*.safetensors"))
    return index(library, files, read or Reader(), FakeEmbedder(), roots=[folder])


def test_a_file_that_another_run_has_followed_is_read(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write_lora(tmp_path / "loras" / "a.safetensors", "one")
    run(library, old.parent)
    old.rename(old.with_stem("b"))

    def look(files: list[Path]) -> tuple[list[Candidate], list[Path]]:
        monkeypatch.setattr(passes, "look_at", look_at)
        with Library.open(library.path) as other:
            assert run(other, old.parent).moved == 1
        return look_at(files)

    monkeypatch.setattr(passes, "look_at", look)
    assert run(library, old.parent).refused == ()
    (entry,) = library.entries()
    assert (entry.name, len(entry.paths)) == ("b", 1)


def test_a_copy_of_a_lora_that_was_just_forgotten_is_new(
    library: Library, tmp_path: Path
) -> None:
    away = write_lora(tmp_path / "away" / "k.safetensors", "one")
    run(library, away.parent)
    here = tmp_path / "loras" / "k.safetensors"
    here.parent.mkdir()
    shutil.copyfile(away, here)

    def forget(path: Path) -> Description:
        with Library.open(library.path) as other:
            other.mark_missing([str(away)])
            assert other.forget_missing() == 1
        return Reader()(path)

    report = run(library, here.parent, forget)
    assert (report.added, report.embedded, report.copies) == (1, 1, 0)
    assert len(library.keys_in(base_space("sd15"))) == 1
