"""Files that are renamed, overwritten and restored: LoRAs keep their labels."""

from pathlib import Path

import pytest

from lorajax.library import IndexReport, Library, find, index
from lorajax.library.labels import change_labels, values_of
from lorajax.library.searching import Filters, rank_by_likeness
from lorajax.library.searching.candidates import listed
from lorajax.service.collection import keeping
from lorajax.service.labels.label_tables import collection_rows
from lorajax.service.labels.labelling import labelled
from tests.library.fakes import FakeEmbedder, Reader, write_lora


class Killed(BaseException):
    pass


def run(library: Library, folder: Path, kill_after: int = 99) -> IndexReport:
    def step(now: object) -> None:
        if getattr(now, "done", 0) == kill_after:
            raise Killed

    files = sorted(folder.glob("*.safetensors"))
    return index(library, files, Reader(), FakeEmbedder(), step, [folder])


def label(library: Library, name: str, style: str) -> None:
    rows = library.query("SELECT key FROM loras WHERE name = ?", name)
    change_labels(library, [key for (key,) in rows], [("style", style)])


def styles(library: Library) -> dict[str, str]:
    said = values_of(library, "style")
    return {e.name: said.get(e.key, "") for e in library.entries()}


@pytest.fixture
def folder(library: Library, tmp_path: Path) -> Path:
    """Two labelled LoRAs, a and b."""
    folder = tmp_path / "loras"
    write_lora(folder / "a.safetensors", "one")
    write_lora(folder / "b.safetensors", "two")
    run(library, folder)
    label(library, "a", "ink")
    label(library, "b", "oil")
    return folder


def test_a_backup_keeps_its_labels_beside_a_new_file_of_the_old_name(
    library: Library, folder: Path
) -> None:
    (folder / "a.safetensors").rename(folder / "a_old.safetensors")
    write_lora(folder / "a.safetensors", "quite another")
    report = run(library, folder)
    assert (report.moved, report.added, report.embedded) == (1, 1, 1)
    assert styles(library) == {"a": "", "a_old": "ink", "b": "oil"}


@pytest.mark.parametrize("kill_after", [1, 2, 99])
def test_two_files_that_swap_names_keep_their_labels(
    library: Library, folder: Path, kill_after: int
) -> None:
    swap(folder / "a.safetensors", folder / "b.safetensors")
    try:
        run(library, folder, kill_after)
    except Killed:
        assert len(library.tiers()) == 2
        run(library, folder)
    assert styles(library) == {"a": "oil", "b": "ink"}
    assert [len(entry.paths) for entry in library.entries()] == [1, 1]


def swap(one: Path, other: Path) -> None:
    aside = one.rename(one.with_suffix(".aside"))
    other.rename(one)
    aside.rename(other)


def test_an_overwritten_lora_goes_at_the_end_of_a_run_that_gets_there(
    library: Library, folder: Path
) -> None:
    for name in "ab":
        write_lora(folder / f"{name}.safetensors", f"quite another {name}")
    with pytest.raises(Killed):
        run(library, folder, kill_after=1)
    assert len(library.tiers()) == 3
    run(library, folder)
    assert len(library.tiers()) == 2
    assert styles(library) == {"a": "", "b": ""}


def test_people_see_an_overwritten_lora_once_while_a_run_lasts(
    library: Library, folder: Path
) -> None:
    for name in "ab":
        write_lora(folder / f"{name}.safetensors", f"quite another {name}")
    with pytest.raises(Killed):
        run(library, folder, kill_after=1)
    ((old,),) = library.query("SELECT key FROM labels WHERE value = 'ink'")
    assert old in library.tiers()
    (a, b) = library.entries()
    assert (a.name, b.name, old in (a.key, b.key)) == ("a", "b", False)
    assert set(library.columns()["key"]) == {a.key, b.key}
    assert library.columns(1)["key"] == [a.key]
    assert find(library, "a") == a
    assert listed(library, Filters()) == [a.key, b.key]
    space = library.current_space("sd15") or ""
    found = rank_by_likeness(library, space, library.vector(space, old), 3, Filters())
    assert {group.best.key for group in found.groups} == {a.key, b.key}
    assert keeping.info(library.path).loras == 2
    rows, _ = collection_rows(library.path, vectors=True)
    assert [row["key"] for row in rows] == [a.key, b.key]
    assert [one.key for one in labelled(library.path)] == [b.key]


def test_a_file_that_was_damaged_for_a_moment_gets_its_labels_back(
    library: Library, folder: Path
) -> None:
    path = folder / "a.safetensors"
    good = path.read_bytes()
    path.write_bytes(b"broken")
    assert len(run(library, folder).refused) == 1
    assert styles(library) == {"b": "oil"}
    path.write_bytes(good)
    run(library, folder)
    assert styles(library) == {"a": "ink", "b": "oil"}
    assert library.query("SELECT * FROM kept_labels") == []


def test_a_file_that_comes_back_from_a_backup_gets_its_labels_back(
    library: Library, folder: Path
) -> None:
    path = folder / "a.safetensors"
    good = path.read_bytes()
    write_lora(path, "quite another")
    run(library, folder)
    label(library, "a", "chalk")
    path.write_bytes(good)
    run(library, folder)
    assert styles(library) == {"a": "ink", "b": "oil"}


def test_labels_of_what_a_person_forgets_are_forgotten(
    library: Library, folder: Path
) -> None:
    path = folder / "a.safetensors"
    aside = path.rename(path.with_suffix(".aside"))
    run(library, folder)
    assert library.forget_missing() == 1
    aside.rename(path)
    run(library, folder)
    assert styles(library) == {"a": "", "b": "oil"}


def test_labels_of_an_overwritten_lora_are_forgotten_with_what_is_missing(
    library: Library, folder: Path
) -> None:
    path = folder / "a.safetensors"
    good = path.read_bytes()
    write_lora(path, "quite another")
    run(library, folder)
    assert library.forget_missing() == 0
    path.write_bytes(good)
    run(library, folder)
    assert styles(library) == {"a": "", "b": "oil"}
