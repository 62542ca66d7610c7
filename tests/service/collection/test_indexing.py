"""Indexing folders: the bundle that a library is embedded with from then on."""

from pathlib import Path

import pytest

from lorajax.library import Library
from lorajax.service.collection.indexing import index_folders
from lorajax.service.collection.library import NO_BUNDLE, bundle_of
from lorajax.service.progress import Progress
from tests.library.fakes import FakeEmbedder, Reader, write_lora

BASE, TRAINED = "sd15:base-space-2:none", "sd15:basis:bundle"


class Ended(BaseException):
    pass


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three LoRAs; bundles are embedded with by their folders' names."""

    def open_embedder(model: Path | None) -> FakeEmbedder:
        return FakeEmbedder(encoder=model.name if model else "")

    module = "lorajax.service.collection.embedding"
    monkeypatch.setattr(f"{module}.open_embedder", open_embedder)
    for name in "abc":
        write_lora(tmp_path / "loras" / f"{name}.safetensors", name)
    (tmp_path / "bundle").mkdir()
    return tmp_path / "loras"


def run(folder: Path, model: Path | None = None, end_after: int = 99) -> None:
    def tell(progress: Progress) -> None:
        if progress.done == end_after:
            raise Ended

    library = folder.parent / "library.sqlite"
    index_folders([folder], library, model, on_progress=tell, describe=Reader())


def kept(folder: Path) -> tuple[dict[str, int], Path | None]:
    with Library.open(folder.parent / "library.sqlite") as library:
        return library.spaces(), bundle_of(library, None)


@pytest.mark.parametrize("indexed_before", [False, True])
def test_a_run_that_was_ended_goes_on_with_its_bundle(
    folder: Path, indexed_before: bool
) -> None:
    bundle = folder.parent / "bundle"
    if indexed_before:
        run(folder)
    with pytest.raises(Ended):
        run(folder, bundle, end_after=2)
    before = {BASE: 3} if indexed_before else {}
    assert kept(folder) == (before | {TRAINED: 2}, None)
    run(folder)
    assert kept(folder) == ({TRAINED: 3}, bundle)


def test_the_last_bundle_that_was_asked_for_counts(folder: Path) -> None:
    bundle = folder.parent / "bundle"
    run(folder, bundle)
    for model in (NO_BUNDLE, bundle, NO_BUNDLE):
        with pytest.raises(Ended):
            run(folder, model, end_after=3)
    run(folder)
    assert kept(folder) == ({BASE: 3}, None)
    run(folder)
    assert kept(folder) == ({BASE: 3}, None)


def test_a_bundle_that_was_asked_for_during_a_run_is_wanted_after_it(
    folder: Path,
) -> None:
    bundle = folder.parent / "bundle"

    def ask_for_another(progress: Progress) -> None:
        if progress.done == 2:
            with pytest.raises(Ended):
                run(folder, bundle, end_after=1)

    library = folder.parent / "library.sqlite"
    index_folders([folder], library, describe=Reader(), on_progress=ask_for_another)
    assert kept(folder) == ({BASE: 3}, None)
    run(folder)
    assert kept(folder) == ({TRAINED: 3}, bundle)
