"""Labels from and to tables and sidecars, by way of a library of small files."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lorajax.errors import LibraryError, LorajaxError
from lorajax.library import Library
from lorajax.library.labels import CLASSIFIED, Label, write_labels
from lorajax.library.labels.label import SIDECAR
from lorajax.service.labels import classifying, labelling, sidecar_exchange
from lorajax.service.labels.label_tables import export_collection, import_table
from lorajax.service.progress import Progress
from tests.library.labelled import add, bunches, fingerprint_text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """24 LoRAs in four bunches; the first of them lies on the disk."""
    place = tmp_path / "library.sqlite"
    points, truth = bunches(4, 6, 0.05)
    with Library.open(place) as library:
        for i, point in enumerate(points):
            style = ("ink", "pen", "clay", "oil")[truth[i]]
            told = add(
                *(library, f"{style}-{i}", point, [style], fingerprint_text(i)),
                folder=str(tmp_path),
            )
            if i:
                library.mark_missing([f"{tmp_path}/{told}.safetensors"])
    (tmp_path / "ink-0.safetensors").write_bytes(b"weights")
    return place


def held(path: Path, name: str) -> dict[str, tuple[str, ...]]:
    (one,) = labelling.labelled(path, [name])
    return one.holds


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_a_table_comes_back_as_it_went(path: Path, tmp_path: Path, ending: str) -> None:
    labelling.change(path, ["ink-0"], [("style", "wash; black"), ("note", "a, b")])
    labelling.clusters(path)
    table = tmp_path / f"all{ending}"
    assert export_collection(table, path) == 24
    labelling.take_back(path)
    found = import_table(table, path)
    assert found.loras == 1 and found.unknown == ()
    assert held(path, "ink-0")["style"] == ("wash; black",)
    assert held(path, "ink-0")["note"] == ("a, b",)
    # What a sidecar said did not become a person's word.
    (one,) = labelling.labelled(path, ["pen-6"])
    assert {label.source for label in one.labels} == {"sidecar"}


def test_a_table_makes_no_tag_of_another_spelling_a_persons(
    path: Path, tmp_path: Path
) -> None:
    with Library.open(path) as library:
        write_labels(library, [Label("ink-0", "tag", "straße", SIDECAR)])
    labelling.change(path, ["ink-0"], [("note", "=1+1")])
    table = tmp_path / "all.csv"
    export_collection(table, path)
    assert "'=1+1" in table.read_text(encoding="utf-8-sig")
    assert import_table(table, path).labels == 0
    labelling.take_back(path)
    assert import_table(table, path).labels == 1
    assert held(path, "ink-0")["note"] == ("=1+1",)


def test_columns_that_are_no_fields_are_passed_over_and_named(
    path: Path, tmp_path: Path
) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("name,Style,My notes,style\nink-0,x,y,wash\n", encoding="utf-8")
    found = import_table(table, path)
    assert found.labels == 1 and found.passed_over == ("Style", "My notes")
    assert held(path, "ink-0")["style"] == ("wash",)


def test_tables_of_people_need_only_a_name_and_a_field(
    path: Path, tmp_path: Path
) -> None:
    table = tmp_path / "mine.csv"
    text = "lora_id,style,tag\nink-0,wash,a; B\nnobody,line,\npen-6,,\n"
    table.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    found = import_table(table, path)
    assert (found.labels, found.loras, found.unknown) == (3, 1, ("nobody",))
    assert held(path, "ink-0")["style"] == ("wash",)
    assert set(held(path, "ink-0")["tag"]) == {"a", "b", "ink"}
    labelling.take_back(path)
    assert "style" not in held(path, "ink-0")
    for name, text in (("a.csv", "x,y\n1,2\n"), ("a.jsonl", "[1]\n"), ("a.txt", "")):
        (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(LibraryError, match="expected"):
            import_table(tmp_path / name, path)


def test_exported_facts_labels_clusters_and_vectors(path: Path, tmp_path: Path) -> None:
    labelling.clusters(path)
    export_collection(tmp_path / "all.csv", path)
    with (tmp_path / "all.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["cluster_name"] for row in rows} == {"ink", "pen", "clay", "oil"}
    assert all(row["label:tag"] == row["cluster_name"] for row in rows)
    assert [row["missing"] for row in rows].count("False") == 1
    export_collection(tmp_path / "all.parquet", path, vectors=True)
    table = pq.read_table(tmp_path / "all.parquet").to_pylist()
    assert all(len(row["vector"]) == 12 for row in table)
    export_collection(tmp_path / "all.jsonl", path, vectors=True)
    first = json.loads((tmp_path / "all.jsonl").read_text().splitlines()[0])
    assert first["vector"] == pytest.approx(table[0]["vector"])
    with pytest.raises(LorajaxError, match=r"for vectors, found \.csv"):
        export_collection(tmp_path / "all.csv", path, vectors=True)
    with pytest.raises(LorajaxError, match="expected an ending"):
        export_collection(tmp_path / "all.txt", path)
    assert not list(tmp_path.glob("*.part"))


def test_sidecars_are_shown_first_and_hold_guesses_apart(
    path: Path, tmp_path: Path
) -> None:
    labelling.change(path, ["ink-0"], [("category", "style"), ("base_variant", "Pony")])
    with Library.open(path) as library:
        write_labels(library, [Label("ink-0", "style", "guessed", CLASSIFIED, 0.9)])
    sidecar = tmp_path / "ink-0.metadata.json"
    shown = sidecar_exchange.write_sidecars([], path)
    assert len(shown.writings) == 1 and not sidecar.exists()
    done = sidecar_exchange.write_sidecars(["ink-0"], path, write=True)
    assert done.written and done.refused == ()
    document = json.loads(sidecar.read_text(encoding="utf-8"))
    assert document["tags"] == ["style"] and document["base_model"] == "Pony"
    sources = {one["value"]: one["source"] for one in document["lorajax"]["labels"]}
    assert sources == {"style": "person", "Pony": "person", "guessed": "classified"}
    assert sidecar_exchange.write_sidecars(["ink-0"], path).unchanged == 1
    sidecar.write_text("broken", encoding="utf-8")
    refused = sidecar_exchange.write_sidecars(["ink-0"], path, write=True).refused
    assert len(refused) == 1 and "it was not touched" in refused[0][1]
    assert sidecar.read_text(encoding="utf-8") == "broken"


def test_sidecars_are_read_anew(path: Path, tmp_path: Path) -> None:
    labelling.derive(path)
    labelling.change(path, ["ink-0"], [("note", "my own")])
    sidecar = tmp_path / "ink-0.metadata.json"
    document = {
        "base_model": "Illustrious",
        "tags": ["Character", "red"],
        "notes": "use 0.8",
        "favorite": True,
    }
    sidecar.write_text(json.dumps(document), encoding="utf-8")
    found = sidecar_exchange.import_sidecars(path)
    assert found.loras == 1 and found.labels == 6
    assert held(path, "ink-0") == {
        "base_variant": ("Illustrious",),
        "category": ("character",),
        "favourite": ("yes",),
        "note": ("my own",),
        "tag": ("character", "red"),
    }
    # Without any sidecar what is known of its tags stays.
    sidecar.unlink()
    sidecar_exchange.import_sidecars(path)
    assert held(path, "ink-0") == {"note": ("my own",), "tag": ("ink",)}


def test_what_could_not_be_written_again_is_read_all_the_same(
    path: Path, tmp_path: Path
) -> None:
    sidecar = tmp_path / "ink-0.metadata.json"
    sidecar.write_text(
        r'{"favorite": true, "notes": "use 0.8 \ud83d", "usage": 1e999, "x": NaN}',
        encoding="utf-8",
    )
    sidecar_exchange.import_sidecars(path)
    assert held(path, "ink-0")["favourite"] == ("yes",)
    assert held(path, "ink-0")["note"][0].startswith("use 0.8")


def test_unlabelled_loras_of_the_library_get_guesses(path: Path) -> None:
    with Library.open(path) as library:
        names = sorted(key for (key,) in library.query("SELECT key FROM loras"))
    for name in names:
        if not name.endswith(("-5", "-11")):
            labelling.change(path, [name], [("style", name.split("-")[0])])
    assert classifying.classify_library(path, "style") == {"ink": 1, "pen": 1}
    (one,) = labelling.labelled(path, ["ink-5"], "style")
    assert [label.source for label in one.labels] == ["classified"]
    assert one.labels[0].confidence is not None and one.labels[0].confidence > 0.5
    with pytest.raises(LibraryError, match="at least 20"):
        classifying.classify_library(path, "character")


def test_who_was_spoken_of_is_not_guessed(path: Path) -> None:
    with Library.open(path) as library:
        names = sorted(key for (key,) in library.query("SELECT key FROM loras"))
    for name in names:
        if not name.endswith(("-5", "-11")):
            labelling.change(path, [name], [("style", name.split("-")[0])])
    labelling.change(path, ["ink-5"], [("style", "")])
    labelling.change(path, ["pen-11"], [("style", "ink"), ("style", "pen")])
    assert classifying.classify_library(path, "style") == {}
    labelling.change(path, ["ink-5"], (), [("style", None)])
    assert classifying.classify_library(path, "style") == {"ink": 1}


def test_a_broken_sidecar_does_not_hide_the_other(path: Path, tmp_path: Path) -> None:
    (tmp_path / "ink-0.metadata.json").write_text("broken", encoding="utf-8")
    (tmp_path / "ink-0.json").write_text('{"notes": "soft"}', encoding="utf-8")
    sidecar_exchange.import_sidecars(path)
    assert held(path, "ink-0")["note"] == ("soft",)


def test_what_is_indexed_beside_an_export_does_not_end_it(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = Library.columns

    def meanwhile(library: Library) -> dict[str, list]:
        found = columns(library)
        with Library.open(path) as other:
            add(other, "late", [1.0] * 12, ["ink"])
            write_labels(other, [Label("late", "style", "ink")])
        return found

    monkeypatch.setattr(Library, "columns", meanwhile)
    assert export_collection(tmp_path / "all.jsonl", path, vectors=True) == 24


def test_labels_of_a_lora_that_goes_while_sidecars_are_read_are_dropped(
    path: Path, tmp_path: Path
) -> None:
    (tmp_path / "ink-0.metadata.json").write_text('{"tags": ["red"]}', encoding="utf-8")

    def meanwhile(_: Progress) -> None:
        with Library.open(path) as other:
            other.mark_missing([f"{tmp_path}/ink-0.safetensors"])
            other.forget_missing()

    assert sidecar_exchange.import_sidecars(path, meanwhile).labels == 0
