"""Searching and explaining through the service, on LoRAs that were really trained."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lorajax.adapters.adapter import read_adapter
from lorajax.config import JobSettings
from lorajax.errors import LibraryError
from lorajax.export.bundle import load_bundle
from lorajax.library import Library
from lorajax.projection.base_space import base_space_vector
from lorajax.service.collection.indexing import index_folders
from lorajax.service.collection.library import NO_BUNDLE
from lorajax.service.learning.exporting import export
from lorajax.service.learning.training import TrainingReport
from lorajax.service.likeness.explaining import Explanation, explain
from lorajax.service.likeness.search_documents import results_document
from lorajax.service.likeness.searching import Query, search

ROOT = Path(__file__).parents[3]
REAL = ROOT / "tests" / "data" / "real"


@pytest.fixture(scope="module")
def folder(tiny_job: JobSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight LoRAs of one base model, one of them twice, and three of another."""
    folder = tmp_path_factory.mktemp("loras")
    files = sorted(Path(str(tiny_job.collection.path)).glob("*.safetensors"))[:8]
    for file in [*files, *REAL.rglob("*.safetensors")]:
        shutil.copyfile(file, folder / file.name)
    shutil.copyfile(files[0], folder / "twin.safetensors")
    return folder


@pytest.fixture(scope="module")
def names(tiny_job: JobSettings) -> list[str]:
    files = sorted(Path(str(tiny_job.collection.path)).glob("*.safetensors"))
    return [file.stem for file in files[:8]]


@pytest.fixture(scope="module")
def path(folder: Path) -> Path:
    path = folder / "library.sqlite"
    index_folders([folder], path, NO_BUNDLE)
    return path


def test_one_lora_is_searched_as_before(path: Path, names: list[str]) -> None:
    results = search(path, Query((names[1],), k=3))
    assert results.query == names[1] and results.searched == 7
    similarity = [hit.similarity or 0 for hit in results.matches]
    assert similarity == sorted(similarity, reverse=True) and len(similarity) == 3
    first = {hit.name: hit for hit in search(path, Query((names[1],))).matches}
    (twin,) = [hit for hit in first.values() if hit.also_at]
    places = {Path(twin.path).stem, *(Path(p).stem for p in twin.also_at)}
    assert places == {names[0], "twin"} and not twin.copies


def test_several_loras_are_searched_from_their_middle(
    path: Path, names: list[str]
) -> None:
    results = search(path, Query(tuple(names[1:3])))
    with Library.open(path) as library:
        keys, rows = library.vectors(str(results.space))
        entries = {
            e.name: keys.index(e.key) for e in library.entries() if e.key in keys
        }
    middle = rows[entries[names[1]]] + rows[entries[names[2]]]
    cosines = rows @ middle / np.linalg.norm(middle)
    for hit in results.matches:
        assert hit.similarity == pytest.approx(cosines[keys.index(hit.key)], abs=1e-5)
    assert results.searched == 6 and not {*names[1:3]} & {
        hit.name for hit in results.matches
    }


def test_unlike_keeps_away_and_tells_both_sides(path: Path, names: list[str]) -> None:
    plain = {h.key: h for h in search(path, Query((names[1],), k=20)).matches}
    away = max(plain.values(), key=lambda hit: hit.similarity or 0)
    results = search(path, Query((names[1],), (away.key,), k=20))
    assert results.query == f"{names[1]} but not {away.name}"
    assert away.key not in {hit.key for hit in results.matches}
    for hit in results.matches:
        assert hit.to_like == pytest.approx(plain[hit.key].similarity, abs=1e-5)
        assert hit.to_unlike is not None
    document = results_document(results, Query())
    assert {"to_like", "to_unlike"} <= set(document["matches"][0])


def test_a_foreign_file_is_searched_and_other_bases_are_not(
    path: Path, tmp_path: Path, names: list[str]
) -> None:
    outside = tmp_path / "outside.safetensors"
    shutil.copyfile(path.parent / f"{names[3]}.safetensors", outside)
    found = search(path, Query((outside,), k=3))
    known = search(path, Query((names[3],), k=3))
    assert [hit.key for hit in found.matches] == [hit.key for hit in known.matches]
    with pytest.raises(LibraryError, match="LoRAs of one space") as caught:
        search(path, Query((names[0], "lora_disney")))
    assert "different base models" in caught.value.hint


def test_words_alone_list_without_similarity(path: Path) -> None:
    results = search(path, Query(text="disney"))
    assert results.space is None and results.searched == 2
    assert {hit.name for hit in results.matches} == {
        "lora_disney",
        "lora_disney_inpainting",
    }
    assert {hit.similarity for hit in results.matches} == {None}
    assert results.matches[0].base_model == "sd1"


def test_filters_narrow_a_search(path: Path, names: list[str]) -> None:
    with Library.open(path) as library:
        (entry,) = [e for e in library.entries() if e.name == names[4]]
        library.execute(
            "INSERT INTO labels VALUES (?, 'style', 'ink', 'person', NULL)", entry.key
        )
    (hit,) = search(path, Query((names[1],), where="style=ink")).matches
    assert hit.name == names[4] and hit.labels["style"] == ("ink",)
    with Library.open(path) as library:
        library.execute(
            "INSERT INTO labels VALUES (?, 'mood', 'calm', 'sidecar', NULL), "
            "(?, 'mood', '', 'person', NULL)",
            *(entry.key, entry.key),
        )
    (hit,) = search(path, Query((names[1],), where="style=ink")).matches
    assert "mood" not in hit.labels  # a person says that nothing of it holds
    assert search(path, Query((names[1],), where="rank>4000")).matches == ()


def test_nothing_to_look_for_is_an_error(path: Path) -> None:
    for query in (Query(), Query(unlike=("a",)), Query(text="x", why=1)):
        with pytest.raises(LibraryError, match="found no"):
            search(path, query)


def adds_up(why: Explanation) -> None:
    """All contributions and the rest are the similarity; shares are whole."""
    for parts in (why.parts, why.groups):
        added = sum(part.contribution for part in parts)
        assert added + why.rest == pytest.approx(why.similarity, abs=1e-6)
        for side in (0, 1):
            assert sum(p.shares[side] for p in parts) == pytest.approx(1, abs=1e-6)
    assert sum(group.modules for group in why.groups) == len(why.parts)


def test_a_base_space_similarity_is_explained(path: Path, names: list[str]) -> None:
    results = search(path, Query((names[1],), k=2, why=1))
    why = results.matches[0].why
    assert why is not None and results.matches[1].why is None
    assert why.similarity == pytest.approx(results.matches[0].similarity, abs=1e-5)
    adds_up(why)
    assert abs(why.rest) < 0.15
    files = [path.parent / f"{name}.safetensors" for name in names[1:3]]
    one, other = map(read_adapter, files)
    pair = explain(path, files[0], files[1])
    vectors = base_space_vector(one), base_space_vector(other)
    assert pair.similarity == pytest.approx(vectors[0] @ vectors[1])
    assert {p.name for p in pair.parts} == {*one.updates, *other.updates}
    itself = explain(path, names[1], names[1])
    assert itself.similarity == pytest.approx(1, abs=1e-5)
    assert itself.rest == pytest.approx(0, abs=1e-5) and not itself.differing(0)
    assert json.dumps(results_document(results, Query()))


def test_a_trained_similarity_is_the_sum_of_its_modules(
    folder: Path,
    names: list[str],
    tiny_run: TrainingReport,
    tmp_path: Path,
) -> None:
    bundle = export(tiny_run.path, tmp_path / "bundle")
    library = tmp_path / "library.sqlite"
    index_folders([folder], library, bundle)
    results = search(library, Query((names[1],), k=3, why=2))
    for hit in results.matches[:2]:
        assert hit.why is not None and hit.why.space == results.space
        assert hit.why.similarity == pytest.approx(hit.similarity, abs=1e-5)
        assert hit.why.rest == pytest.approx(0, abs=1e-5)
        adds_up(hit.why)
    files = [folder / f"{name}.safetensors" for name in names[1:3]]
    first, second = load_bundle(bundle).embed(files)
    pair = explain(library, files[0], files[1])
    assert pair.similarity == pytest.approx(float(first @ second), abs=1e-5)
    # Base models that the bundle does not know are compared in their base space.
    other = explain(library, "animal_artist", "lora_disney_inpainting")
    assert "base-space" in other.space
    with pytest.raises(LibraryError, match="expected a space or a base model"):
        explain(library, files[0], files[1], space="sd15:a:b")


def test_a_file_that_is_gone_or_changed_is_told(
    folder: Path, names: list[str], tmp_path: Path
) -> None:
    own = tmp_path / "loras"
    own.mkdir()
    for name in names[:3]:
        shutil.copyfile(folder / f"{name}.safetensors", own / f"{name}.safetensors")
    path = tmp_path / "library.sqlite"
    index_folders([own], path, NO_BUNDLE)
    (own / f"{names[0]}.safetensors").unlink()
    with pytest.raises(LibraryError, match="its file is gone"):
        explain(path, names[0], names[1])
    shutil.copyfile(folder / f"{names[4]}.safetensors", own / f"{names[2]}.safetensors")
    with pytest.raises(LibraryError, match="have changed since it was indexed"):
        explain(path, names[1], names[2])
    results = search(path, Query((names[1],), why=9))
    assert len(results.notes) == 2 and "file is gone" in " ".join(results.notes)


def test_searching_entries_needs_no_jax(path: Path, names: list[str]) -> None:
    code = f"""
import sys
from pathlib import Path
from lorajax.service.likeness.searching import Query, search
found = search(Path({str(path)!r}), Query(({names[1]!r},), where="rank>0", why=1))
assert found.matches[0].why
heavy = [name for name in ("jax", "flax", "sklearn") if name in sys.modules]
sys.exit(f"imported: {{heavy}}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == 0
