"""What an indexing run reads of a file, and what it knows without reading."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lorajax.errors import FormatError
from lorajax.library import (
    Heading,
    IndexReport,
    Library,
    Step,
    Told,
    Words,
    index,
)
from lorajax.library.indexing.absence import _unplugged
from lorajax.library.labels import Label, derive_labels, read_labels, write_labels
from tests.library.fakes import FakeEmbedder, Reader, write_lora


@dataclass
class Desk:
    """Everything that a run needs, and what it opened."""

    library: Library
    folder: Path
    reader: Reader = field(default_factory=Reader)
    glanced: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)

    def glance(self, path: Path) -> Heading:
        self.glanced.append(path.name)
        if not path.read_text(encoding="utf-8").startswith("{"):
            raise FormatError(f"{path.name}: not a fake LoRA", "write JSON")
        return Heading(path.stem, "sd15", "kohya", "lora", 264)

    def words(self, path: Path) -> Words:
        self.told.append(path.name)
        sidecar = path.with_suffix(".json")
        text = sidecar.read_text(encoding="utf-8") if sidecar.exists() else ""
        return Words(Told(title=text), tuple(text.split()))

    def step(self, step: Step) -> None:
        self.steps.append(step)
        self.waiting.append(len(self.library.waiting()))

    def run(self, again: bool = False, unlisted: tuple[Path, ...] = ()) -> IndexReport:
        for seen in (self.reader.read, self.glanced, self.told, self.steps):
            seen.clear()
        self.waiting.clear()
        return index(
            self.library,
            sorted(self.folder.rglob("*.safetensors")),
            self.reader,
            FakeEmbedder(),
            self.step,
            [self.folder],
            again,
            self.glance,
            self.words,
            unlisted,
        )


@pytest.fixture
def desk(library: Library, tmp_path: Path) -> Desk:
    folder = tmp_path / "loras"
    folder.mkdir()
    return Desk(library, folder)


def test_new_files_are_listed_before_any_is_read(desk: Desk) -> None:
    for name in "abc":
        write_lora(desk.folder / f"{name}.safetensors", name)
    (desk.folder / "d.safetensors").write_text("broken")
    report = desk.run()
    assert (report.added, len(report.refused)) == (3, 1)
    stages = [step.stage for step in desk.steps]
    assert stages == ["reading headers"] * 5 + ["indexing"] * 4
    # 0 to 3 done and the end: all are listed when the second stage begins.
    assert desk.waiting == [0, 0, 0, 0, 3, 3, 2, 1, 0]
    assert desk.glanced[-1] == "d.safetensors" and len(desk.reader.read) == 3
    last = desk.steps[-1]
    sizes = [path.stat().st_size for path in desk.folder.glob("[abc]*")]
    assert (last.bytes_done, last.bytes_total) == (sum(sizes), sum(sizes))
    assert last.refused == 1


def test_a_header_that_waits_is_not_read_twice(desk: Desk) -> None:
    for name in "ab":
        write_lora(desk.folder / f"{name}.safetensors", name)

    class Killed(BaseException):
        pass

    def killed(path: Path) -> None:
        raise Killed

    read, desk.reader = desk.reader, killed  # type: ignore[assignment]
    read.read.clear()
    files = sorted(desk.folder.iterdir())
    with pytest.raises(Killed):
        index(desk.library, files, killed, FakeEmbedder(), glance=desk.glance)  # type: ignore[arg-type]
    assert len(desk.library.waiting()) == 2
    (desk.folder / "b.safetensors").unlink()
    desk.reader = read
    assert desk.run().added == 1
    assert desk.glanced == [] and desk.library.waiting() == []


def test_a_refused_file_is_opened_again_only_when_it_changed(desk: Desk) -> None:
    path = desk.folder / "bad.safetensors"
    path.write_text("broken")
    (first,) = desk.run().refused
    report = desk.run()
    assert report.refused == (first,) and desk.glanced == desk.reader.read == []
    desk.run(again=True)
    assert desk.glanced == ["bad.safetensors"]
    desk.library.execute("UPDATE refused SET version = 'older'")
    desk.run()
    assert desk.glanced == ["bad.safetensors"]
    write_lora(path, "good")
    assert desk.run().added == 1 and desk.library.refused() == []
    path.write_text("broken again")
    desk.run()
    path.unlink()
    desk.run()
    assert desk.library.refused() == []


def test_a_renamed_file_is_known_by_its_stamp(desk: Desk) -> None:
    old = write_lora(desk.folder / "a.safetensors", "one")
    desk.run()
    new = old.rename(desk.folder / "b.safetensors")
    os.utime(new, ns=(1, 1_000_000_001))  # another date: another file, until read
    assert desk.run().moved == 1 and desk.reader.read == ["b.safetensors"]
    new = new.rename(desk.folder / "c.safetensors")
    assert desk.run().moved == 1 and desk.reader.read == []
    (entry,) = desk.library.entries()
    assert (entry.name, entry.paths) == ("c", (str(new),))
    found = desk.library.query("SELECT name, path FROM texts")
    assert found == [("c", str(new))]


def test_a_picture_beside_one_copy_takes_no_tags_of_another(desk: Desk) -> None:
    one = write_lora(desk.folder / "a.safetensors", "one", tags=["ink"])
    other = write_lora(desk.folder / "b.safetensors", "one")
    one.with_suffix(".json").write_text("ink")
    desk.run()
    other.with_suffix(".png").touch()
    assert desk.run().retold == 1
    assert desk.library.entries()[0].facts.tags == ("ink",)
    desk.run(again=True)
    assert desk.library.entries()[0].facts.tags == ("ink",)


def test_a_date_of_whole_seconds_leaves_a_doubt(desk: Desk) -> None:
    old = write_lora(desk.folder / "a.safetensors", "one")
    os.utime(old, ns=(0, 5_000_000_000))
    desk.run()
    old.rename(desk.folder / "b.safetensors")
    assert desk.run().moved == 1 and desk.reader.read == ["b.safetensors"]


def test_a_hard_link_in_another_folder_is_a_copy_unread(desk: Desk) -> None:
    path = write_lora(desk.folder / "one" / "a.safetensors", "one")
    desk.run()
    link = desk.folder / "two" / "a.safetensors"
    link.parent.mkdir()
    try:
        os.link(path, link)
    except OSError:
        pytest.skip("this system allows no links")
    report = index(desk.library, [link], desk.reader, FakeEmbedder())
    assert report.copies == 1 and len(desk.reader.read) == 1
    (entry,) = desk.library.entries()
    assert len(entry.paths) == 2


def test_two_files_may_change_their_names(desk: Desk) -> None:
    a = write_lora(desk.folder / "a.safetensors", "one")
    b = write_lora(desk.folder / "b.safetensors", "two")
    desk.run()
    a.rename(desk.folder / "c")
    b.rename(a)
    (desk.folder / "c").rename(b)
    report = desk.run()
    assert not report.refused
    space = next(iter(desk.library.spaces()))
    assert len(desk.library.vectors(space)[0]) == len(desk.library.entries()) == 2


def test_a_changed_sidecar_is_told_without_the_weights(desk: Desk) -> None:
    path = write_lora(desk.folder / "a.safetensors", "one", tags=["old"])
    desk.run()
    path.with_suffix(".json").write_text("水墨 ink")
    report = desk.run()
    assert (report.unchanged, report.retold) == (1, 1)
    assert desk.told == ["a.safetensors"] and desk.reader.read == []
    (entry,) = desk.library.entries()
    assert entry.told.title == "水墨 ink" and entry.facts.tags == ("水墨", "ink")
    assert desk.library.query("SELECT words FROM texts")[0][0].strip() == "水墨 ink"
    assert desk.run().retold == 0
    (desk.folder / "a.preview.png").touch()
    assert desk.run().retold == 1
    path.with_suffix(".json").unlink()
    assert desk.run().retold == 1
    assert desk.library.entries()[0].told.title == ""


@pytest.mark.parametrize("also", ["nothing else", "the weights", "all read again"])
def test_what_was_told_anew_is_labelled_anew(desk: Desk, also: str) -> None:
    """Also where a run ends before labels are derived, and the next finds no news."""
    path = write_lora(desk.folder / "a.safetensors", "one", tags=["old"])
    write_lora(desk.folder / "b.safetensors", "two", tags=["kept"])

    def tags() -> set[tuple[str, str]]:
        derive_labels(desk.library)
        rows = desk.library.query(
            "SELECT field, value FROM labels WHERE source = ?", "sidecar"
        )
        return {(field, value) for field, value in rows if field == "tag"}

    desk.run()
    assert tags() == {("tag", "old"), ("tag", "kept")}
    path.with_suffix(".json").write_text("new")
    if also != "nothing else":
        write_lora(path, "one", tags=["new"])
    desk.run(again=also == "all read again")
    desk.run()
    assert tags() == {("tag", "new"), ("tag", "kept")}


@pytest.mark.parametrize("how", ["overwritten", "refused", "forgotten"])
def test_a_lora_that_loses_a_file_loses_the_labels_of_it(desk: Desk, how: str) -> None:
    path = write_lora(desk.folder / "a.safetensors", "one", tags=["wrong"])
    write_lora(desk.folder / "b.safetensors", "one", tags=["kept"])
    desk.run()
    derive_labels(desk.library)
    (one,) = desk.library.entries()
    note = Label(one.key, "note", "of a sidecar", "sidecar")
    write_labels(desk.library, [note])
    if how == "overwritten":
        write_lora(path, "two")
    elif how == "refused":
        path.write_text("broken")
    else:
        path.unlink()
    desk.run()
    desk.library.forget_missing()
    derive_labels(desk.library)
    assert read_labels(desk.library, keys=[one.key]) == [
        note,
        Label(one.key, "tag", "kept", "sidecar"),
    ]


def test_a_file_that_was_moved_is_labelled_anew(desk: Desk) -> None:
    homes = [desk.folder / home for home in ("ink", "oil")]
    files = [
        write_lora(home / f"{home.name}{i}.safetensors", f"{home.name}{i}")
        for home in homes
        for i in range(4)
    ]
    desk.run()
    derive_labels(desk.library)
    files[0].rename(homes[1] / files[0].name)
    desk.run()
    derive_labels(desk.library)
    rows = desk.library.query(
        "SELECT path, value FROM labels JOIN paths USING (key) WHERE field = 'folder'"
    )
    assert len(rows) == 8
    assert all(Path(path).parent.name == value for path, value in rows)


def test_a_copy_of_a_lora_that_was_told_anew_is_a_copy(desk: Desk) -> None:
    path = write_lora(desk.folder / "a.safetensors", "one")
    desk.run()
    path.with_suffix(".json").write_text("ink")
    write_lora(desk.folder / "b.safetensors", "one")
    report = desk.run()
    assert (report.retold, report.copies, report.added) == (1, 1, 0)
    assert report.embedded == 0


def test_another_peft_configuration_is_another_update(desk: Desk) -> None:
    write_lora(desk.folder / "adapter_model.safetensors", "one")
    write_lora(desk.folder / "b.safetensors", "two")
    desk.run()
    (desk.folder / "adapter_config.json").write_text("{}")
    desk.run()
    assert desk.reader.read == ["adapter_model.safetensors"]


def test_an_empty_folder_may_be_an_unplugged_disk(desk: Desk) -> None:
    path = write_lora(desk.folder / "a.safetensors", "one")
    desk.run()
    hidden = path.rename(desk.folder.parent / "elsewhere")
    report = desk.run()
    assert report.missing == 0 and report.notes == (_unplugged(desk.folder, 1),)
    desk.folder.rmdir()
    assert desk.run().notes == (_unplugged(desk.folder, 1),)
    assert not desk.library.entries()[0].missing
    desk.folder.mkdir()
    hidden.rename(path)
    assert desk.run().unchanged == 1


def test_nothing_is_said_of_a_folder_that_cannot_be_listed(desk: Desk) -> None:
    path = write_lora(desk.folder / "sub" / "a.safetensors", "one")
    write_lora(desk.folder / "b.safetensors", "two")
    desk.run()
    path.unlink()
    assert desk.run(unlisted=(path.parent,)).missing == 0
    assert desk.run().missing == 1


def test_a_disk_error_does_not_forget_what_a_file_was(desk: Desk) -> None:
    path = write_lora(desk.folder / "a.safetensors", "one")
    desk.run()

    def failing(path: Path) -> None:
        raise FormatError(f"{path}: expected a readable file") from OSError(5, "I/O")

    report = index(desk.library, [path], failing, FakeEmbedder(), again=True)  # type: ignore[arg-type]
    assert len(report.refused) == 1
    assert len(desk.library.entries()) == 1 and desk.library.refused() == []


def test_a_file_that_vanishes_while_it_is_read_is_a_note(desk: Desk) -> None:
    path = write_lora(desk.folder / "a.safetensors", "one")

    def vanishing(path: Path) -> None:
        path.unlink()
        raise FormatError(f"{path}: expected a readable file")

    report = index(desk.library, [path], vanishing, FakeEmbedder())  # type: ignore[arg-type]
    assert (report.vanished, report.refused) == (1, ())
    assert desk.library.refused() == []
