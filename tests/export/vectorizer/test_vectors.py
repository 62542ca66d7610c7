"""Paths in, vectors out: the same as the bundle's, and each file read once."""

import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

import lorajax
from lorajax import LoraVectorizer
from lorajax.adapters.adapter import read_adapter
from lorajax.errors import CheckpointError, DatasetError, FormatError
from lorajax.export import memo
from lorajax.export.model import load_model, save_model
from lorajax.projection.base_space import base_space_vector
from lorajax.service.learning.exporting import export
from lorajax.service.learning.training import TrainingReport

ROOT = Path(__file__).parents[3]
REAL = ROOT / "tests" / "data" / "real"


def fresh(estimator: Any) -> Any:
    return clone(estimator)


def test_the_vectors_of_the_bundle(bundle: Path, paths: list[Path]) -> None:
    vectorizer = LoraVectorizer(bundle)
    vectors = vectorizer.fit_transform(paths)
    np.testing.assert_array_equal(vectors, lorajax.load(bundle).embed(paths))
    assert vectors.dtype == np.float32
    assert vectorizer.base_model_ == "lorajax-zoo-1"
    assert vectorizer.space_ == lorajax.load(bundle).space("lorajax-zoo-1")
    assert vectorizer.n_features_out_ == 32 and vectorizer.n_features_in_ == 1


def test_the_base_space_where_there_is_no_bundle(paths: list[Path]) -> None:
    vectorizer = LoraVectorizer().fit(paths[:2])
    expected = [base_space_vector(read_adapter(path)) for path in paths[3:6]]
    np.testing.assert_array_equal(vectorizer.transform(paths[3:6]), expected)
    assert vectorizer.n_features_out_ == 1024
    assert vectorizer.space_ == "lorajax-zoo-1:base-space-2:none"


def test_all_that_holds_paths_will_do(paths: list[Path]) -> None:
    few = paths[:3]
    words = [str(path) for path in few]
    expected = LoraVectorizer().fit_transform(few)
    column = np.array(words, dtype=object)
    for same in (tuple(few), words, np.array(words), column, column[:, None]):
        np.testing.assert_array_equal(LoraVectorizer().fit_transform(same), expected)
        np.testing.assert_array_equal(
            LoraVectorizer().fit(same).transform(few), expected
        )
    assert LoraVectorizer().fit(few).transform([]).shape == (0, 1024)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("a.safetensors", "expected a sequence of paths, found one path"),
        (np.full((3, 2), "a"), r"found an array of shape \(3, 2\)"),
        ((path for path in "ab"), "generator"),
    ],
)
def test_what_is_no_column_is_refused(wrong: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LoraVectorizer(on_error="nan").fit(wrong)


@pytest.mark.parametrize("wrong", [None, 3, float("nan"), ["a"], b"a"])
def test_what_is_no_path_is_refused_by_its_row(
    wrong: object, paths: list[Path]
) -> None:
    column = np.array([paths[0], None], dtype=object)
    column[1] = wrong
    with pytest.raises(DatasetError, match="row 1: expected a path, found"):
        LoraVectorizer().fit(column)


def test_base_models_are_not_mixed(bundle: Path, paths: list[Path]) -> None:
    stranger = next(REAL.rglob("*.safetensors"))
    for on_error in ("raise", "nan"):
        with pytest.raises(DatasetError) as error:
            LoraVectorizer(on_error=on_error).fit([paths[0], stranger])
        assert "expected LoRAs of one base model, found lorajax-zoo-1" in str(
            error.value
        )
        assert paths[0].name in error.value.message and "sd1 (" in error.value.message
    fitted = LoraVectorizer().fit(paths[:1])
    with pytest.raises(
        DatasetError, match="expected a LoRA of lorajax-zoo-1, found one of sd1"
    ):
        fitted.transform([stranger])
    with pytest.raises(CheckpointError, match="this bundle embeds lorajax-zoo-1"):
        LoraVectorizer(bundle).fit([stranger])


def test_rows_of_nan_where_they_are_asked_for(
    paths: list[Path], tmp_path: Path
) -> None:
    missing = tmp_path / "gone.safetensors"
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"?" * 99)
    stranger = next(REAL.rglob("*.safetensors"))
    with pytest.raises(FormatError, match=r"gone\.safetensors: expected a readable"):
        LoraVectorizer().fit([paths[0], missing])
    lenient = LoraVectorizer(on_error="nan").fit([missing, paths[0]])
    mixed = [missing, paths[0], damaged, None, stranger, paths[1]]
    with pytest.warns(
        UserWarning, match="4 of 6 files have no vector; the first: .*go"
    ):
        vectors = lenient.transform(mixed)
    holes = np.isnan(vectors).all(axis=1)
    assert holes.tolist() == [True, False, True, True, True, False]
    np.testing.assert_array_equal(
        vectors[~holes], LoraVectorizer().fit_transform(paths[:2])
    )
    with pytest.raises(DatasetError, match=r"found none among 1; the first: .*gone"):
        LoraVectorizer(on_error="nan").fit([missing])
    with pytest.raises(DatasetError, match="found none among 0"):
        LoraVectorizer(on_error="nan").fit([])


def test_a_bundle_that_is_missing_is_no_fault_of_the_files(paths: list[Path]) -> None:
    with pytest.raises(CheckpointError, match=r"expected a bundle with a config\.json"):
        LoraVectorizer("nowhere", on_error="nan").fit(paths)


def test_each_file_is_read_once(
    bundle: Path, paths: list[Path], styles: np.ndarray, reads: list[Path]
) -> None:
    for model in (None, bundle):
        del reads[:]
        pipeline = make_pipeline(LoraVectorizer(model), KNeighborsClassifier(1))
        cross_val_score(pipeline, paths, styles, groups=styles, cv=GroupKFold(3))
        assert sorted(reads) == sorted(paths)


def test_a_file_that_changed_is_read_again(
    paths: list[Path], tmp_path: Path, reads: list[Path]
) -> None:
    first, second = (LoraVectorizer().fit_transform([path])[0] for path in paths[:2])
    del reads[:]
    file = tmp_path / "lora.safetensors"
    vectorizer = LoraVectorizer().fit(paths[:1])
    for source, expected in ((paths[0], first), (paths[1], second)):
        shutil.copyfile(source, file)
        for _ in range(2):
            np.testing.assert_allclose(
                vectorizer.transform([file])[0], expected, atol=1e-6
            )
    assert reads == [file, file]
    (tmp_path / "adapter_config.json").write_text("{}", encoding="utf-8")
    vectorizer.transform([file])
    assert len(reads) == 3


def test_the_memory_is_bounded() -> None:
    assert memo._embed.cache_info().maxsize == memo.MOST_VECTORS
    assert memo._embedder.cache_info().maxsize == memo.MOST_SOURCES


def test_another_bundle_in_the_same_place_is_refused(
    tiny_run: TrainingReport, paths: list[Path], tmp_path: Path
) -> None:
    place, run = tmp_path / "bundle", tmp_path / "run"
    fitted = LoraVectorizer(export(tiny_run.path, place)).fit(paths[:2])
    before = fitted.transform(paths[:2])
    model = load_model(tiny_run.path)
    moved = {name: array + 0.1 for name, array in model.encoder.params.items()}
    save_model(replace(model, encoder=replace(model.encoder, params=moved)), run)
    for name in ("results.json", "config.yaml"):
        shutil.copyfile(tiny_run.path / name, run / name)
    export(run, place, force=True)
    with pytest.raises(CheckpointError, match="expected the bundle that this was") as e:
        fitted.transform(paths[:2])
    assert fitted.space_ in e.value.message
    assert not np.allclose(fresh(fitted).fit_transform(paths[:2]), before)


def test_a_pickle_holds_settings_and_paths_alone(
    bundle: Path, paths: list[Path]
) -> None:
    fitted = LoraVectorizer(str(bundle)).fit(paths)
    raw = pickle.dumps(fitted)
    assert len(raw) < 1000
    np.testing.assert_array_equal(
        pickle.loads(raw).transform(paths[:3]), fitted.transform(paths[:3])
    )


def test_a_pickle_is_opened_by_another_process(
    bundle: Path, paths: list[Path], tmp_path: Path
) -> None:
    fitted = LoraVectorizer(bundle).fit(paths[:1])
    (tmp_path / "fitted.pickle").write_bytes(pickle.dumps(fitted))
    code = (
        "import pickle, sys; fitted = pickle.load(open(sys.argv[1], 'rb')); "
        "assert 'jax' not in sys.modules; "
        "print(*fitted.transform(sys.argv[2:])[0])"
    )
    arguments = [str(tmp_path / "fitted.pickle"), str(paths[0])]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    np.testing.assert_allclose(
        np.array(done.stdout.split(), float), fitted.transform(paths[:1])[0], atol=1e-6
    )


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, lorajax; "
        "print([m for m in ('numpy', 'sklearn', 'jax') if m in sys.modules]); "
        "lorajax.LoraVectorizer(); print('jax' in sys.modules); lorajax.Vectoriser"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["[]", "False"]
    assert "module 'lorajax' has no attribute 'Vectoriser'" in done.stderr
