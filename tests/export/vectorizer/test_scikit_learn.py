"""The vectorizer wherever scikit-learn puts one."""

import re
import shutil
import textwrap
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

ROOT = Path(__file__).parents[3]
REAL = ROOT / "tests" / "data" / "real"


def fresh(estimator: Any) -> Any:
    return clone(estimator)


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
