"""Factor-form PCA against scikit-learn on flattened updates."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA

from lorajax.adapters.adapter import Adapter
from lorajax.projection.basis import Basis
from lorajax.projection.features import Features
from lorajax.projection.gram_pca import PreparedGram
from lorajax.projection.linear_pca import PreparedDense, PreparedSketch
from lorajax.projection.preparing import Prepared
from lorajax.projection.sketch import sketch_all
from tests.conftest import SHAPES, MakeAdapter

COUNT, WIDTH = 14, 32
ALL = np.arange(COUNT)


@pytest.fixture(scope="module")
def adapters(make_adapter: MakeAdapter) -> list[Adapter]:
    return [make_adapter(seed) for seed in range(COUNT)]


def flattened(adapters: list[Adapter], module: str) -> np.ndarray:
    """ΔW of one module over all LoRAs, formed the plain way."""
    rows = []
    for adapter in adapters:
        up, down = adapter.updates[module].factors()  # type: ignore[misc]
        rows.append((up.astype("f8") @ down).reshape(-1))
    return np.stack(rows)


def assert_equals_full_pca(basis: Basis, features: Features, rows: np.ndarray) -> None:
    oracle = PCA().fit(rows)
    scores = oracle.transform(rows)
    count = basis.components[0]
    assert count == min(WIDTH, COUNT - 1, np.linalg.matrix_rank(rows - rows.mean(0)))
    ratio = oracle.explained_variance_ratio_[:count]
    np.testing.assert_allclose(basis.explained_variance_ratio[0], ratio, rtol=1e-4)
    found = features.scores[:, 0, :count]
    distances = pdist(scores[:, :count])
    np.testing.assert_allclose(pdist(found), distances, rtol=1e-4)


@pytest.mark.parametrize("module", list(SHAPES))
def test_gram_pca_is_the_full_pca(adapters: list[Adapter], module: str) -> None:
    prepared = PreparedGram([only(adapter, module) for adapter in adapters])
    basis = prepared.fit(ALL, WIDTH)
    rows = flattened(adapters, module)
    assert_equals_full_pca(basis, prepared.features(basis, ALL), rows)


def test_incremental_pca_in_one_batch_is_the_full_pca(adapters: list[Adapter]) -> None:
    module = "unet.a.to_q"
    prepared = PreparedDense([only(adapter, module) for adapter in adapters], batch=64)
    basis = prepared.fit(ALL, WIDTH)
    rows = flattened(adapters, module)
    assert_equals_full_pca(basis, prepared.features(basis, ALL), rows)


def test_incremental_pca_over_batches_is_an_approximation_of_known_error(
    adapters: list[Adapter], capsys: pytest.CaptureFixture[str]
) -> None:
    module, width = "unet.b.to_k", 4
    prepared = PreparedDense([only(adapter, module) for adapter in adapters], batch=5)
    basis = prepared.fit(ALL, width)
    found = prepared.features(basis, ALL).scores[:, 0, : basis.components[0]]
    rows = flattened(adapters, module)
    exact = PCA(n_components=width).fit_transform(rows)
    kept = (found.astype("f8") ** 2).sum() / (exact**2).sum()
    print(f"incremental_pca in batches of 5 keeps {kept:.4f} of the exact energy")
    assert 0.8 < kept < 1.0


@pytest.mark.parametrize("kind", ["gram", "dense", "sketch"])
def test_one_file_gets_the_scores_that_it_has_in_the_collection(
    adapters: list[Adapter], kind: str
) -> None:
    prepared = prepared_by(kind, adapters)
    train = np.arange(8)
    basis = prepared.fit(train, 6)
    together = prepared.features(basis, train)
    for i in (2, 11):  # fitted on, and not
        alone = basis.transform(adapters[i])
        np.testing.assert_allclose(alone.scores[0], together.scores[i], atol=1e-4)


def test_basis_knows_only_its_training_loras(make_adapter: MakeAdapter) -> None:
    some = [make_adapter(seed) for seed in range(8)]
    others = [make_adapter(seed) for seed in range(100, 104)]
    changed = [make_adapter(seed) for seed in range(200, 204)]
    train = np.arange(8)
    first = PreparedGram([*some, *others]).fit(train, 6)
    second = PreparedGram([*some, *changed]).fit(train, 6)
    assert first.hash() == second.hash()


@pytest.mark.parametrize("kind", ["gram", "dense", "sketch"])
def test_components_never_exceed_what_the_data_has(
    make_adapter: MakeAdapter, kind: str
) -> None:
    triplets = [make_adapter(seed % 3) for seed in range(9)]
    basis = prepared_by(kind, triplets).fit(np.arange(9), 32)
    assert basis.components == (2, 2, 2)  # three different points span a plane


@pytest.mark.parametrize("kind", ["gram", "dense", "sketch"])
def test_modules_that_do_not_differ_are_left_out(
    make_adapter: MakeAdapter, kind: str
) -> None:
    copies = [make_adapter(1)] * 5
    assert prepared_by(kind, copies).fit(np.arange(5), 4).facts.modules == ()


def prepared_by(kind: str, adapters: list[Adapter]) -> Prepared:
    if kind == "gram":
        return PreparedGram(adapters)
    if kind == "dense":
        return PreparedDense(adapters, 64)
    return PreparedSketch(sketch_all(adapters, 4), "imaginary")


def only(adapter: Adapter, module: str) -> Adapter:
    from tests.conftest import adapter_of

    return adapter_of({module: adapter.updates[module]}, adapter.name)
