"""Maps: principal planes against plain SVD, spaces, groups, and their refusals."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lorajax.errors import LibraryError
from lorajax.library import Library, base_space, index
from lorajax.service.likeness import grouping, mapping
from lorajax.service.likeness.grouping import group_by, groupings
from tests.library.fakes import FakeEmbedder, Reader, vector_of, write_lora


@pytest.mark.parametrize("shape", [(40, 12), (12, 40), (3, 3), (1, 5), (2, 1)])
def test_the_plane_is_that_of_the_largest_differences(shape: tuple[int, int]) -> None:
    matrix = np.random.default_rng(0).normal(size=shape).astype("f4")
    matrix[:, 0] *= 4
    positions, explained = mapping.principal_plane(matrix)
    centred = matrix - matrix.mean(axis=0)
    left, values, _ = np.linalg.svd(centred.astype("f8"), full_matrices=False)
    scores = np.zeros((shape[0], 2))
    scores[:, : len(values)] = (left * values)[:, :2]
    total = (values**2).sum()
    # Components without variance have no direction, and their sign is free.
    np.testing.assert_allclose(np.abs(positions), np.abs(scores), atol=2e-3)
    shares = np.pad(values[:2] ** 2, (0, max(0, 2 - len(values))))
    np.testing.assert_allclose(
        explained, shares / total if total else [0, 0], atol=1e-4
    )


def test_equal_vectors_lie_in_one_place() -> None:
    positions, explained = mapping.principal_plane(np.ones((5, 4), "f4"))
    assert np.abs(positions).max() < 1e-6 and explained == (0.0, 0.0)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Eight LoRAs of sd15 in two folders and with tags, three of sdxl."""
    files = [
        write_lora(
            tmp_path / ("ink" if i < 4 else "oil") / f"lora {i}.safetensors",
            f"content {i}",
            tags=["all", "wet" if i % 2 else "dry"],
        )
        for i in range(8)
    ]
    files += [
        write_lora(tmp_path / f"xl {i}.safetensors", f"xl {i}", base_model="sdxl")
        for i in range(3)
    ]
    with Library.open(tmp_path / "library.sqlite") as opened:
        index(opened, files, Reader(), FakeEmbedder())
    return tmp_path / "library.sqlite"


def test_the_largest_space_is_drawn_unless_another_is_asked_for(library: Path) -> None:
    assert [(s.base_model, s.count) for s in mapping.spaces(library)] == [
        ("sd15", 8),
        ("sdxl", 3),
    ]
    found = mapping.map_space(library)
    assert found.space == base_space("sd15") and len(found.positions) == 8
    place = found.names.index("lora 3")
    expected, _ = mapping.principal_plane(
        np.stack([vector_of(f"content {name[-1]}") for name in found.names])
    )
    np.testing.assert_allclose(found.positions[place], expected[place], atol=1e-6)
    assert mapping.map_space(library, "sdxl").names[0].startswith("xl")
    with pytest.raises(LibraryError, match="found 'flux'") as error:
        mapping.map_space(library, "flux")
    assert "sd15, sdxl" in error.value.hint


def test_a_map_is_drawn_again_once_the_library_has_changed(
    library: Path, tmp_path: Path
) -> None:
    first, again = (mapping.map_space(library) for _ in range(2))
    assert first.positions is again.positions
    with Library.open(library) as opened:
        file = write_lora(tmp_path / "new.safetensors", "new")
        index(opened, [file], Reader(), FakeEmbedder())
    assert "new" in mapping.map_space(library).names


def test_without_vectors_there_is_no_map(tmp_path: Path) -> None:
    Library.open(tmp_path / "library.sqlite").close()
    with pytest.raises(LibraryError, match="no LoRA of this library has a vector"):
        mapping.map_space(tmp_path)


def test_umap_is_asked_for_by_name(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapping, "has_umap", lambda: False)
    with pytest.raises(LibraryError, match="UMAP is not installed"):
        mapping.map_space(library, method="umap")
    monkeypatch.setattr(mapping, "has_umap", lambda: True)
    with pytest.raises(LibraryError, match="more than 15 LoRAs, this space has 8"):
        mapping.map_space(library, method="umap")
    monkeypatch.setattr(mapping, "_NEIGHBOURS", 3)

    class Halving:
        def __init__(self, **options: object) -> None:
            assert options["random_state"] == 0 and options["metric"] == "cosine"

        def fit_transform(self, matrix: np.ndarray) -> np.ndarray:
            return matrix[:, :2] / 2

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Halving))
    found = mapping.map_space(library, method="umap")
    assert found.explained is None and found.method == "umap"
    np.testing.assert_allclose(
        found.positions[0],
        vector_of(f"content {found.names[0][-1]}")[:2] / 2,
        atol=1e-6,
    )


def test_a_map_survives_its_document(library: Path) -> None:
    found = mapping.map_space(library)
    read = mapping._read_document(json.loads(json.dumps(mapping.map_document(found))))
    assert (read.space, read.method) == (found.space, found.method)
    assert (read.keys, read.names) == (found.keys, found.names)
    np.testing.assert_allclose(read.positions, found.positions, atol=1e-6)


def test_groups_are_what_tells_loras_apart(library: Path) -> None:
    found = mapping.map_space(library)
    ways = {one.by: one for one in groupings(library, found.keys)}
    assert set(ways) == {"tag", "folder"}  # of one family, no labels, no variants
    assert set(ways["tag"].names) == {"wet", "dry"}  # "all" tells nothing
    named = dict(zip(found.names, ways["folder"].of, strict=True))
    assert named["lora 0"] == "ink" and named["lora 7"] == "oil"
    with pytest.raises(LibraryError, match="found 'colour'") as error:
        group_by(library, found.keys, "colour")
    assert error.value.hint == "choose one of: tag, folder"


def test_labels_are_ways_to_group_and_a_persons_word_counts(library: Path) -> None:
    found = mapping.map_space(library)
    with Library.open(library) as opened, opened.transaction():
        for i, key in enumerate(found.keys):
            row = (key, "style", f"style {i % 2}", "person", None)
            opened.execute("INSERT INTO labels VALUES (?, ?, ?, ?, ?)", *row)
        unsure = (found.keys[0], "style", "other", "classified", 0.99)
        opened.execute("INSERT INTO labels VALUES (?, ?, ?, ?, ?)", *unsure)
        none = (found.keys[5], "style", "", "person", None)
        opened.execute("UPDATE labels SET source = 'sidecar' WHERE key = ?", none[0])
        opened.execute("INSERT INTO labels VALUES (?, ?, ?, ?, ?)", *none)
    first = groupings(library, found.keys)[0]
    assert first.by == "style" and first.of[:2] == ("style 0", "style 1")
    assert first.of[5] == ""
    assert first.names == ("style 0", "style 1")


def test_clusters_are_told_by_number_and_name(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = mapping.map_space(library)
    with Library.open(library) as opened, opened.transaction():
        for i, key in enumerate(found.keys):
            row = (key, "cluster", str(i % 2), "clustered", 0.9)
            opened.execute("INSERT INTO labels VALUES (?, ?, ?, ?, ?)", *row)
        moved = (found.keys[2], "cluster", "mine", "person", None)
        opened.execute("INSERT INTO labels VALUES (?, ?, ?, ?, ?)", *moved)
    members = [found.keys[0::2], found.keys[1::2]]
    kept = [
        SimpleNamespace(number=i, name=n, members=members[i])
        for i, n in ((0, "ink wash"), (1, ""))
    ]
    monkeypatch.setattr(
        grouping, "kept_clusters", lambda *_: SimpleNamespace(clusters=kept)
    )
    way = group_by(library, found.keys, "cluster")
    assert way.of[:4] == ("0 ink wash", "1", "mine", "1")


def test_a_map_that_is_kept_shows_the_names_of_today(
    library: Path, tmp_path: Path
) -> None:
    assert "lora 0" in mapping.map_space(library).names
    old = tmp_path / "ink" / "lora 0.safetensors"
    moved = old.rename(old.with_name("wash.safetensors"))
    others = [tmp_path / "ink" / f"lora {i}.safetensors" for i in (1, 2, 3)]
    with Library.open(library) as opened:
        revision = opened.revision()
        index(opened, [moved, *others], Reader(), FakeEmbedder())
        assert opened.revision() == revision
    names = mapping.map_space(library).names
    assert "wash" in names and "lora 0" not in names
