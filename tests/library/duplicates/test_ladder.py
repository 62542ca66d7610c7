"""The ladder on files that are really written, trained ones and real ones."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from lorajax.adapters.adapter import Adapter
from lorajax.config import JobSettings
from lorajax.library import Library
from lorajax.library.duplicates import Action, Kind, Ladder, find_duplicates, shelf
from lorajax.service.collection.indexing import index_folders
from tests.library.duplicates.ladder_rates import file_identity, rates
from tests.library.duplicates.variants import (
    FP8,
    Source,
    Variant,
    cast,
    changed,
    in_kohya,
    noisy,
    read,
    save,
    scaled,
    write_merge,
    write_variants,
)


@pytest.fixture(scope="module")
def made(
    tiny_job: JobSettings, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Variant], Ladder, Mapping[str, str]]:
    """Variants of a few trained LoRAs among all of the collection."""
    zoo, out = Path(str(tiny_job.collection.path)), tmp_path_factory.mktemp("ladder")
    files = sorted(zoo.glob("*.safetensors"))
    plain = [f for f in files if any(".lora_down." in name for name in read(f)[0])]
    sources = [Source(file, f"s{place}") for place, file in enumerate(plain[:4])]
    folder, store = out / "set", out / "library.sqlite"
    variants = [v for source in sources for v in write_variants(source, folder)]
    for a, b in (sources[:2], sources[2:]):
        if (merge := write_merge(a, b, folder, out / "aside")) is not None:
            variants.append(merge)
    index_folders([zoo, folder], store)
    with Library.open(store, create=False) as library:
        known = {file_identity(p): k for p, (_, k) in library.stamps().items()}
        keys = {str(v.path): known[file_identity(str(v.path))] for v in variants}
        return store, variants, find_duplicates(library), keys


@pytest.mark.parametrize("kind", list(Kind))
def test_every_level_is_right_and_complete(made, kind: Kind):
    _, variants, ladder, keys = made
    rate = rates(ladder, variants, keys)[kind]
    assert rate.expected > 0
    assert rate.wrong == ()
    assert rate.missed == ()


def test_what_is_redundant_can_be_gone_without_loss(made):
    _, _, ladder, _ = made
    redundant = {
        member.path
        for group in ladder.groups
        for member in group.members
        if member.action is Action.REDUNDANT
    }
    for group in ladder.groups:
        for member in group.members:
            if member.action is Action.REDUNDANT:
                assert group.kind in (Kind.FILE, Kind.WEIGHTS, Kind.UPDATE, Kind.SCALED)
                assert group.confirmed
    # Of every source something is kept, in whatever group it is.
    _, variants, _, _ = made
    for source in {v.ray for v in variants}:
        paths = {str(v.path) for v in variants if v.ray == source}
        assert paths - redundant


def test_levels_1_and_2_read_no_file(made, monkeypatch: pytest.MonkeyPatch):
    store, _, ladder, _ = made
    monkeypatch.setattr(
        "lorajax.library.duplicates.shelf.read_adapter",
        lambda path: pytest.fail(f"{path} was read"),
    )
    with Library.open(store, create=False) as library:
        shallow = find_duplicates(library, deepest=2)
    assert list(shallow.groups) == [g for g in ladder.groups if g.level <= 2]


def test_without_the_files_nothing_is_called_confirmed(made, tmp_path: Path):
    store, variants, _, keys = made
    copy = tmp_path / "library.sqlite"
    with Library.open(store, create=False) as library:
        library.query("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(store, copy)
    with Library.open(copy) as library:
        library.mark_missing(library.stamps())
        ladder = find_duplicates(library)
    found = [group for group in ladder.groups if group.kind is Kind.UPDATE]
    assert found and not any(group.confirmed for group in ladder.groups)
    assert "no file of one of the two is at hand" in found[0].members[1].evidence
    assert ladder.redundant_bytes == 0
    assert rates(ladder, variants, keys)[Kind.UPDATE].precision == 1.0


REAL = Path(__file__).parents[2] / "data" / "real"


def test_real_loras_of_one_family_are_no_duplicates(tmp_path: Path):
    store = tmp_path / "library.sqlite"
    index_folders([REAL], store)
    with Library.open(store) as library:
        ladder = find_duplicates(library)
    assert (ladder.groups, ladder.relations) == ((), ())
    assert ladder.searched == 3


@pytest.fixture
def kohya(tmp_path: Path) -> Path:
    """A real LoRA in kohya's naming, with nothing beside its updates."""
    source = Source(REAL / "lora_disney.safetensors", "disney")
    made = in_kohya(source, tmp_path / "aside" / "disney.safetensors")
    assert made is not None
    return made


def test_eight_bits_are_near_and_no_checkpoint(tmp_path: Path, kohya: Path):
    tensors, metadata = read(kohya)
    save(tmp_path / "set" / "whole.safetensors", tensors, metadata)
    eight = cast({k: v.astype("f4") for k, v in tensors.items()}, FP8)
    save(tmp_path / "set" / "eight.safetensors", eight, metadata)
    store = tmp_path / "library.sqlite"
    index_folders([tmp_path / "set"], store)
    with Library.open(store) as library:
        ladder = find_duplicates(library)
    (group,) = ladder.groups
    assert group.kind is Kind.NEAR and ladder.relations == ()
    assert group.members[0].path.endswith("whole.safetensors")


def test_checkpoints_are_a_relation_and_no_duplicates(tmp_path: Path, kohya: Path):
    tensors, metadata = read(kohya)
    for epoch, noise in ((1, 0.01), (2, 0.02)):
        told = {"ss_session_id": "77", "ss_epoch": str(epoch), **metadata}
        moved = changed(tensors, noisy(noise), epoch)
        save(tmp_path / "set" / f"run-{epoch}.safetensors", moved, told)
    store = tmp_path / "library.sqlite"
    index_folders([tmp_path / "set"], store)
    with Library.open(store) as library:
        ladder = find_duplicates(library)
    assert ladder.groups == ()
    (relation,) = ladder.relations
    assert (relation.kind, relation.by) == ("epochs", "session")
    assert [Path(m.path).stem for m in relation.members] == ["run-1", "run-2"]


def test_a_file_that_changed_is_left_out(tmp_path: Path, kohya: Path):
    folder = tmp_path / "set"
    folder.mkdir()
    for name in ("a", "b", "c"):
        shutil.copy(kohya, folder / f"{name}.safetensors")
    store = tmp_path / "library.sqlite"
    index_folders([folder], store)
    tensors, metadata = read(kohya)
    told = {**metadata, "title": "another"}
    save(folder / "b.safetensors", changed(tensors, noisy(0.5)), told)
    with Library.open(store) as library:
        ladder = find_duplicates(library)
    assert [Path(path).stem for path in ladder.changed] == ["b"]
    (group,) = ladder.groups
    assert {Path(m.path).stem for m in group.members} == {"a", "c"}


def test_a_file_that_goes_while_others_are_compared_stops_nothing(
    tmp_path: Path, kohya: Path, monkeypatch: pytest.MonkeyPatch
):
    tensors, metadata = read(kohya)
    # A tensor beside the updates is compared too, and is no part of an adapter.
    bias = np.ones(320, "f4")
    told = {**tensors, "lora_unet_conv_in.diff_b": bias}
    save(tmp_path / "set" / "a.safetensors", told, metadata)
    half = cast({k: v.astype("f4") for k, v in tensors.items()}, np.float16)
    gone = save(
        tmp_path / "set" / "b.safetensors",
        {**half, "lora_unet_conv_in.diff_b": bias},
        metadata,
    )
    store = tmp_path / "library.sqlite"
    index_folders([tmp_path / "set"], store)
    read_adapter = shelf.read_adapter

    def vanishing(path: Path) -> Adapter:
        found = read_adapter(path)
        if path == gone:
            gone.unlink()
        return found

    monkeypatch.setattr(shelf, "read_adapter", vanishing)
    with Library.open(store) as library:
        ladder = find_duplicates(library)
    (group,) = ladder.groups
    assert group.kind is Kind.UPDATE and not group.confirmed
    assert [path for path, _ in ladder.unread] == [str(gone)]


def test_a_lost_sketch_is_told_and_made_again(tmp_path: Path, kohya: Path):
    tensors, metadata = read(kohya)
    save(tmp_path / "set" / "a.safetensors", tensors, metadata)
    twice = save(tmp_path / "set" / "b.safetensors", scaled(tensors, 2.0), metadata)
    store = tmp_path / "library.sqlite"
    index_folders([tmp_path / "set"], store)
    with Library.open(store) as library:
        whole = find_duplicates(library)
        key = library.key_at(twice)
        query = "DELETE FROM vectors WHERE key = ? AND space LIKE '%:whole-sketch-1:%'"
        assert library.execute(query, key) == 1
        ladder = find_duplicates(library)
        assert ladder.groups == () and "lorajax index" in ladder.unread[0][1]
        library.execute("DELETE FROM vectors WHERE space LIKE '%:whole-sketch-1:%'")
        assert len(find_duplicates(library).unread) == 2
    assert index_folders([tmp_path / "set"], store).reread == 2
    assert index_folders([tmp_path / "set"], store).reread == 0
    with Library.open(store) as library:
        assert find_duplicates(library).groups == whole.groups != ()
