"""Paths in, vectors out, wherever scikit-learn puts the vectorizer."""

import pickle
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks, get_tags

import lorajax
from lorajax import LoraVectorizer
from lorajax.adapters.adapter import read_adapter
from lorajax.config import JobSettings
from lorajax.dataset.label_files import LABELS
from lorajax.errors import CheckpointError, DatasetError, FormatError
from lorajax.export import memo
from lorajax.export.model import load_model, save_model
from lorajax.formats.scan import lora_name, scan
from lorajax.projection.base_space import base_space_vector
from lorajax.service.exporting import export
from lorajax.service.training import TrainingReport

ROOT = Path(__file__).parents[2]
REAL = ROOT / "tests" / "data" / "real"


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    """What one test read must not help the next."""
    memo._embed.cache_clear()
    yield


@pytest.fixture(scope="module")
def zoo(tiny_job: JobSettings) -> Path:
    return Path(tiny_job.collection.path or "")


@pytest.fixture(scope="module")
def paths(zoo: Path) -> list[Path]:
    return list(scan([zoo]).files)


@pytest.fixture(scope="module")
def styles(zoo: Path, paths: list[Path]) -> np.ndarray:
    lines = (zoo / LABELS).read_text(encoding="utf-8").splitlines()[1:]
    style = dict(line.split(",") for line in lines)
    return np.array([style[lora_name(path)] for path in paths])


@pytest.fixture(scope="module")
def bundle(tiny_run: TrainingReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tiny_run.path, tmp_path_factory.mktemp("vectorizer") / "bundle")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read, as they are."""
    seen: list[Path] = []

    def read(path: Path):
        seen.append(path)
        return read_adapter(path)

    monkeypatch.setattr(memo, "read_adapter", read)
    return seen


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


# What scikit-learn asks of every estimator and what needs no matrix of numbers.
CHECKS = [
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_mixin_order",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
    "check_n_features_in_after_fitting",
]


@pytest.mark.parametrize("check", CHECKS)
def test_what_scikit_learn_asks_without_numbers(check: str) -> None:
    getattr(estimator_checks, check)("LoraVectorizer", LoraVectorizer())


def test_what_scikit_learn_asks_of_data(bundle: Path, paths: list[Path]) -> None:
    """The checks that feed numbers, with paths in their place."""
    vectorizer = LoraVectorizer(bundle)
    for call in (vectorizer.transform, vectorizer.get_feature_names_out):
        with pytest.raises(NotFittedError):
            call(paths)
    before = dict(vectorizer.get_params())
    assert vectorizer.fit(paths, y=np.arange(len(paths))) is vectorizer
    assert vectorizer.get_params() == before
    state = dict(vars(vectorizer))
    whole = vectorizer.transform(paths)
    assert vars(vectorizer) == state
    np.testing.assert_array_equal(vectorizer.fit(paths).transform(paths), whole)
    np.testing.assert_array_equal(fresh(vectorizer).fit_transform(paths), whole)
    np.testing.assert_array_equal(vectorizer.transform(paths[::-1]), whole[::-1])
    one_by_one = [vectorizer.transform([path])[0] for path in paths]
    np.testing.assert_array_equal(one_by_one, whole)
    names = vectorizer.get_feature_names_out()
    assert names.tolist() == [f"loravectorizer{i}" for i in range(32)]
    tags = get_tags(vectorizer)
    assert tags.input_tags.string and not tags.input_tags.two_d_array
    assert tags.requires_fit and not tags.target_tags.required
    assert not tags.input_tags.allow_nan
    assert get_tags(LoraVectorizer(on_error="nan")).input_tags.allow_nan


def test_settings_are_checked_when_they_are_used(paths: list[Path]) -> None:
    wrong = LoraVectorizer().set_params(on_error="ignore")
    with pytest.raises(ValueError, match="expected one of raise, nan, found 'ignore'"):
        wrong.fit(paths)
    with pytest.raises(TypeError, match="expected only X and y, found sample_weight"):
        LoraVectorizer().fit_transform(paths, sample_weight=[1])


@pytest.mark.parametrize(
    "last",
    [
        LogisticRegression(),
        KNeighborsClassifier(1, metric="cosine"),
        KMeans(3, random_state=0),
        AgglomerativeClustering(3, metric="cosine", linkage="average"),
    ],
    ids=lambda last: type(last).__name__,
)
def test_a_pipeline_takes_paths(
    last: BaseEstimator, bundle: Path, paths: list[Path], styles: np.ndarray
) -> None:
    pipeline = make_pipeline(LoraVectorizer(bundle), fresh(last))
    expected = fresh(last)
    vectors = lorajax.load(bundle).embed(paths)
    if isinstance(last, AgglomerativeClustering):
        found = pipeline.fit_predict(paths)
        np.testing.assert_array_equal(found, expected.fit_predict(vectors))
    else:
        found = pipeline.fit(paths, styles).predict(paths)
        np.testing.assert_array_equal(
            found, expected.fit(vectors, styles).predict(vectors)
        )


def test_searching_over_models(
    bundle: Path, paths: list[Path], styles: np.ndarray
) -> None:
    half = np.isin(styles, np.unique(styles)[::2])
    search = GridSearchCV(
        make_pipeline(LoraVectorizer(), KNeighborsClassifier(1)),
        {"loravectorizer__model": [None, str(bundle)]},
        cv=GroupKFold(4),
    )
    search.fit(paths, half, groups=styles)
    assert search.predict(paths).tolist() == half.tolist()
    alone = [
        cross_val_score(
            KNeighborsClassifier(1),
            LoraVectorizer(model).fit_transform(paths),
            half,
            groups=styles,
            cv=GroupKFold(4),
        ).mean()
        for model in (None, bundle)
    ]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], alone)


def test_a_column_among_others(paths: list[Path]) -> None:
    table = np.array([[path, float(i)] for i, path in enumerate(paths)], dtype=object)
    columns = ColumnTransformer(
        [("lora", LoraVectorizer(), [0]), ("number", StandardScaler(), [1])]
    )
    found = columns.fit_transform(table)
    np.testing.assert_allclose(found[:, :-1], LoraVectorizer().fit_transform(paths))
    assert columns.get_feature_names_out()[-2:].tolist() == [
        "lora__loravectorizer1023",
        "number__x1",
    ]


def test_tables_of_pandas(bundle: Path, paths: list[Path]) -> None:
    pd = pytest.importorskip("pandas")
    words = [str(path) for path in paths]
    table = pd.DataFrame({"path": words, "n": range(len(words))}).iloc[::-1]
    vectorizer = LoraVectorizer(bundle).set_output(transform="pandas")
    for column in (table[["path"]], table["path"]):
        found = vectorizer.fit_transform(column)
        assert list(found.index) == list(table.index)
        assert list(found.columns[:2]) == ["loravectorizer0", "loravectorizer1"]
        expected = lorajax.load(bundle).embed(words[::-1])
        np.testing.assert_array_equal(found.to_numpy(), expected)
    found = ColumnTransformer([("lora", vectorizer, ["path"])]).fit_transform(table)
    np.testing.assert_array_equal(found, expected)


def test_the_pieces_of_the_page_run(
    zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`docs/vectors.md`, from top to bottom, on the tests' own small zoo."""
    text = (ROOT / "docs" / "vectors.md").read_text(encoding="utf-8")
    pieces = re.findall(r"^ *```python\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    assert len(pieces) == 8 == text.count("```python")
    shutil.copytree(zoo, tmp_path / "zoo")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for piece in pieces:
        exec(textwrap.dedent(piece), names)
    vectors, order = names["vectors"], names["order"]
    assert isinstance(vectors, np.ndarray) and isinstance(order, np.ndarray)
    assert vectors.shape == (24, 1024) and set(order[:2]) == {0, 2}
