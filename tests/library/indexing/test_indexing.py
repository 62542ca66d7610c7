"""Indexing: read once, recognise what moved, survive what is bad."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from lorajax.library import IndexReport, Library, base_space, index
from tests.library.fakes import FakeEmbedder, Reader, vector_of, write_lora

SPACE = base_space("sd15")


def run(
    library: Library, folder: Path, reader: Reader, embedder: FakeEmbedder
) -> IndexReport:
    """Indexes everything in a folder."""
    reader.read.clear()
    files = sorted(folder.rglob("*.safetensors"))
    return index(library, files, reader, embedder, roots=[folder])


def test_a_new_folder_is_described_and_embedded(
    library: Library, reader: Reader, embedder: FakeEmbedder, tmp_path: Path
) -> None:
    folder = tmp_path / "loras"
    write_lora(folder / "a.safetensors", "one")
    write_lora(folder / "b.safetensors", "two", tier="opaque")
    report = run(library, folder, reader, embedder)
    assert report == IndexReport(added=2, embedded=1, spaces=(SPACE,))
    keys, matrix = library.vectors(SPACE)
    assert len(keys) == 1
    np.testing.assert_array_equal(matrix[0], vector_of("one"))
    assert library.current_space("sd15") == SPACE


def test_known_files_are_never_read_again(
    library: Library, reader: Reader, embedder: FakeEmbedder, tmp_path: Path
) -> None:
    folder = tmp_path / "loras"
    write_lora(folder / "a.safetensors", "one")
    write_lora(folder / "b.safetensors", "two", tier="operator")
    run(library, folder, reader, embedder)
    report = run(library, folder, reader, embedder)
    assert report == IndexReport(unchanged=2, spaces=(SPACE,))
    assert reader.read == []


def test_a_changed_file_replaces_what_it_was(
    library: Library, reader: Reader, embedder: FakeEmbedder, tmp_path: Path
) -> None:
    path = write_lora(tmp_path / "loras" / "a.safetensors", "one")
    run(library, path.parent, reader, embedder)
    write_lora(path, "another content")
    report = run(library, path.parent, reader, embedder)
    assert (report.updated, report.embedded) == (1, 1)
    assert len(library.entries()) == len(library.vectors(SPACE)[0]) == 1


def test_a_touched_file_is_read_but_not_embedded_again(
    library: Library, reader: Reader, embedder: FakeEmbedder, tmp_path: Path
) -> None:
    path = write_lora(tmp_path / "loras" / "a.safetensors", "one")
    run(library, path.parent, reader, embedder)
    os.utime(path, ns=(1, 1))
    report = run(library, path.parent, reader, embedder)
    assert (report.reread, report.embedded) == (1, 0)
    assert run(library, path.parent, reader, embedder).unchanged == 1


def test_a_moved_file_keeps_its_vector_and_loses_its_old_path(
    library: Library, reader: Reader, embedder: FakeEmbedder, tmp_path: Path
) -> None:
    folder = tmp_path / "loras"
    old = write_lora(folder / "a.safetensors", "one")
    run(library, folder, reader, embedder)
    new = folder / "sub" / "renamed.safetensors"
    new.parent.mkdir()
    old.rename(new)
    report = run(library, folder, reader, embedder)
    assert (report.moved, report.added, report.missing) == (1, 0, 0)
    assert embedder.embedded == ["one"]
    (entry,) = library.entries()
    assert entry.paths == (str(new),) and entry.name == "renamed"


def test_a_copy_is_a_further_path_of_the_same_lora(
    library: Library, reader: Reader, embedder: FakeEmbedder, tmp_path: Path
) -> None:
    folder = tmp_path / "loras"
    write_lora(folder / "a.safetensors", "one")
    write_lora(folder / "b.safetensors", "one")
    report = run(library, folder, reader, embedder)
    assert (report.added, report.copies, report.embedded) == (1, 1, 1)
    (entry,) = library.entries()
    assert entry.name == "a" and len(entry.paths) == 2


def test_a_lora_with_copies_keeps_its_name_when_all_are_read_again(
    library: Library, reader: Reader, embedder: FakeEmbedder, tmp_path: Path
) -> None:
    folder = tmp_path / "loras"
    write_lora(folder / "a.safetensors", "one")
    write_lora(folder / "b.safetensors", "one")
    run(library, folder, reader, embedder)
    assert run(library, folder, reader, FakeEmbedder("other")).reread > 0
    assert library.entries()[0].name == "a"
    (folder / "a.safetensors").unlink()
    run(library, folder, reader, FakeEmbedder("another"))
    library.forget_missing()
    run(library, folder, reader, FakeEmbedder("a third"))
    assert library.entries()[0].name == "b"


def test_a_deleted_file_is_marked_and_comes_back(
    library: Library, reader: Reader, embedder: FakeEmbedder, tmp_path: Path
) -> None:
    path = write_lora(tmp_path / "loras" / "a.safetensors", "one")
    (path.parent / "notes.txt").touch()
    before = path.stat()
    run(library, path.parent, reader, embedder)
    hidden = path.rename(tmp_path / "elsewhere")
    assert run(library, path.parent, reader, embedder).missing == 1
    assert library.entries()[0].missing
    hidden.rename(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert run(library, path.parent, reader, embedder).unchanged == 1
    assert not library.entries()[0].missing


def test_files_outside_the_indexed_folders_are_left_alone(
    library: Library, reader: Reader, embedder: FakeEmbedder, tmp_path: Path
) -> None:
    path = write_lora(tmp_path / "one" / "a.safetensors", "one")
    run(library, path.parent, reader, embedder)
    path.unlink()
    assert run(library, tmp_path / "two", reader, embedder).missing == 0


def test_a_bad_file_is_reported_and_the_rest_goes_on(
    library: Library, reader: Reader, embedder: FakeEmbedder, tmp_path: Path
) -> None:
    folder = tmp_path / "loras"
    write_lora(folder / "a.safetensors", "one")
    (folder / "bad.safetensors").write_text("broken")
    write_lora(folder / "c.safetensors", "three")
    files = [*sorted(folder.iterdir()), folder / "vanished.safetensors"]
    report = index(library, files, reader, embedder)
    assert report.added == 2
    (first,) = report.refused
    assert (first.reason, first.hint) == (
        "bad.safetensors: not a fake LoRA",
        "write JSON",
    )
    assert library.refused() == [first]
    assert report.vanished == 1
    assert report.notes == (
        "1 file vanished before they could be read: vanished.safetensors",
    )


def test_a_new_space_embeds_every_file_and_becomes_current_at_the_end(
    library: Library, reader: Reader, embedder: FakeEmbedder, tmp_path: Path
) -> None:
    folder = tmp_path / "loras"
    write_lora(folder / "a.safetensors", "one")
    write_lora(folder / "b.safetensors", "two")
    run(library, folder, reader, embedder)
    trained = FakeEmbedder(encoder="e1")
    seen: list[str | None] = []
    files = sorted(folder.iterdir())
    report = index(
        library,
        files,
        reader,
        trained,
        on_step=lambda _: seen.append(library.current_space("sd15")),
    )
    assert (report.reread, report.embedded) == (2, 2)
    assert set(seen[:2]) == {SPACE}
    assert library.current_space("sd15") == "sd15:basis:e1"
    assert library.spaces() == {"sd15:basis:e1": 2}


def test_a_switch_of_one_folder_tells_what_it_leaves_behind(
    library: Library, reader: Reader, embedder: FakeEmbedder, tmp_path: Path
) -> None:
    for folder in ("one", "two", "gone"):
        write_lora(tmp_path / folder / "a.safetensors", folder)
    write_lora(tmp_path / "two" / "b.safetensors", "opaque", tier="opaque")
    write_lora(tmp_path / "two" / "c.safetensors", "flux", base_model="flux")
    run(library, tmp_path, reader, embedder)
    gone = tmp_path / "gone" / "a.safetensors"
    gone.unlink()
    run(library, tmp_path, reader, embedder)
    trained = FakeEmbedder(encoder="e1")
    report = run(library, tmp_path / "one", reader, trained)
    assert (report.embedded, report.unembedded) == (1, 1)
    flux, new = base_space("flux"), "sd15:basis:e1"
    assert library.spaces() == {SPACE: 3, flux: 1, new: 1}
    revision = library.revision()
    report = run(library, tmp_path / "two", reader, trained)
    assert (report.embedded, report.unembedded) == (2, 0)
    assert library.spaces() == {new: 2, "flux:basis:e1": 1}
    assert library.revision() > revision + 2


def test_again_embeds_what_is_known(
    library: Library, reader: Reader, embedder: FakeEmbedder, tmp_path: Path
) -> None:
    path = write_lora(tmp_path / "a.safetensors", "one")
    index(library, [path], reader, embedder)
    report = index(library, [path], reader, embedder, again=True)
    assert (report.reread, report.embedded) == (1, 1)


def test_progress_counts_every_file_once(
    library: Library, reader: Reader, embedder: FakeEmbedder, tmp_path: Path
) -> None:
    files = [write_lora(tmp_path / f"{i}.safetensors", str(i)) for i in range(3)]
    seen: list[tuple[int, int]] = []
    index(library, files, reader, embedder, lambda s: seen.append((s.done, s.total)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


KILLED = """
import os, signal, sys
from pathlib import Path
from lorajax.library import Library, index
from tests.library.fakes import FakeEmbedder, Reader

library, folder, after = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

def kill(step):
    if step.done == after:
        os._exit(9)  # no clean-up of any kind, as a kill would be

with Library.open(library) as opened:
    index(opened, sorted(folder.iterdir()), Reader(), FakeEmbedder(), kill)
"""


def test_a_killed_run_loses_nothing_that_it_did(
    reader: Reader, embedder: FakeEmbedder, tmp_path: Path
) -> None:
    folder = tmp_path / "loras"
    for i in range(6):
        write_lora(folder / f"{i}.safetensors", str(i))
    path = tmp_path / "library.sqlite"
    command = [sys.executable, "-c", KILLED, str(path), str(folder), "4"]
    root = Path(__file__).parents[3]
    killed = subprocess.run(command, cwd=root, check=False)
    assert killed.returncode == 9
    with Library.open(path) as library:
        assert len(library.entries()) == len(library.vectors(SPACE)[0]) == 4
        report = run(library, folder, reader, embedder)
        assert (report.unchanged, report.added) == (4, 2)
        assert reader.read == ["4.safetensors", "5.safetensors"]
        assert len(library.vectors(SPACE)[0]) == 6
