"""Factor-form PCA against scikit-learn on flattened updates."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.low_rank import LowRankUpdate
from lorajax.config import FeatureSettings
from lorajax.projection.basis import Basis
from lorajax.projection.features import Features
from lorajax.projection.interface import Projection
from lorajax.projection.preparing import new_projection, prepare
from tests.conftest import SHAPES, MakeAdapter, adapter_of

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
    projection = fitted("gram_pca", [only(adapter, module) for adapter in adapters])
    rows = flattened(adapters, module)
    assert_equals_full_pca(projection.basis, projection.transform(adapters), rows)


def test_incremental_pca_in_one_batch_is_the_full_pca(adapters: list[Adapter]) -> None:
    module = "unet.a.to_q"
    projection = fitted(
        "incremental_pca", [only(adapter, module) for adapter in adapters]
    )
    rows = flattened(adapters, module)
    assert_equals_full_pca(projection.basis, projection.transform(adapters), rows)


def test_sketch_pca_is_the_full_pca_where_its_sides_span_everything(
    adapters: list[Adapter],
) -> None:
    """16 directions hold all of modules that are no wider: nothing is lost."""
    module = "unet.a.to_q"
    projection = fitted("sketch_pca", [only(adapter, module) for adapter in adapters])
    features, rows = projection.transform(adapters), flattened(adapters, module)
    count = projection.basis.components[0]
    exact = PCA().fit_transform(rows)[:, :count]
    # Directions are kept in half precision.
    np.testing.assert_allclose(
        pdist(features.scores[:, 0, :count]), pdist(exact), rtol=3e-3
    )


def test_sides_find_what_loras_share() -> None:
    """Updates of one small subspace are held whole, in wide modules, from any side."""
    adapters = sharing(80, noise=0.0)
    basis = fitted("sketch_pca", adapters[:50], side=6).basis
    np.testing.assert_allclose(basis.held_out_energy(adapters[50:]), 1.0, atol=2e-2)
    noisy = sharing(40, noise=1.0)
    narrow, wide = (
        fitted("sketch_pca", noisy[:20], side=side).held_out_energy(noisy[20:])
        for side in (3, 6)
    )
    assert (narrow < wide).all() and (wide < 0.9).all()


@pytest.mark.parametrize("kind", ["gram_pca", "incremental_pca", "sketch_pca"])
def test_held_out_energy_against_its_definition(
    adapters: list[Adapter], kind: str
) -> None:
    train, held = adapters[:9], adapters[9:]
    projection = fitted(kind, train, components=3)
    for n, module in enumerate(projection.basis.facts.modules):
        rows = flattened(adapters, module)
        centred = rows[9:] - rows[:9].mean(0)
        scores = projection.transform(held).scores[:, n].astype("f8")
        share = (scores**2).sum() / (centred**2).sum()
        found = projection.held_out_energy(held)[n]
        np.testing.assert_allclose(found, share, rtol=3e-3)
        assert 0.0 < found < 0.9


def test_incremental_pca_over_batches_is_an_approximation_of_known_error(
    adapters: list[Adapter], capsys: pytest.CaptureFixture[str]
) -> None:
    module, width = "unet.b.to_k", 3
    # Three batches: what the second adds is cut before the third.
    projection = fitted("incremental_pca", adapters, components=width, batch=4)
    n = projection.basis.facts.modules.index(module)
    found = projection.transform(adapters).scores[:, n, :width]
    rows = flattened(adapters, module)
    exact = PCA(n_components=width).fit_transform(rows)
    kept = (found.astype("f8") ** 2).sum() / (exact**2).sum()
    print(f"incremental_pca in batches of 4 keeps {kept:.4f} of the exact energy")
    assert 0.8 < kept < 0.9999


@pytest.mark.parametrize("kind", ["gram_pca", "incremental_pca", "sketch_pca"])
def test_learning_in_parts_is_learning(adapters: list[Adapter], kind: str) -> None:
    """The first part gives `sketch_pca` its directions, so it is the same in both."""
    settings = settings_of(kind, components=6, sides_from=8, scale="root")
    whole = new_projection(settings)
    if kind == "sketch_pca":
        whole.partial_fit(adapters[:8])
        whole.partial_fit(adapters[8:])
    else:
        whole.fit(adapters)
    parts = new_projection(settings).partial_fit(adapters[:8])
    for adapter in adapters[8:]:
        parts.partial_fit([adapter])
    before, after = whole.transform(adapters), parts.transform(adapters)
    np.testing.assert_allclose(
        pdist(before.scores[:, 0]), pdist(after.scores[:, 0]), rtol=1e-3
    )
    again = parts.fit(adapters[:5])
    assert set(again.basis.facts.fitted_on) == {5}


@pytest.mark.parametrize("kind", ["gram_pca", "sketch_pca"])
@pytest.mark.parametrize("scale", ["none", "root", "unit"])
@pytest.mark.parametrize("centre", [True, False])
def test_options_against_plain_numpy(
    adapters: list[Adapter], kind: str, scale: str, centre: bool
) -> None:
    module = "unet.a.to_q"
    projection = fitted(
        kind, [only(a, module) for a in adapters], scale=scale, centre=centre
    )
    rows = flattened(adapters, module)
    power = {"none": 0, "root": 0.5, "unit": 1}[scale]
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True) ** power
    found = projection.transform(adapters).scores[:, 0].astype("f8")
    assert len(projection.basis.components) == 1
    expected = rows - rows.mean(0) if centre else rows
    np.testing.assert_allclose(
        found @ found.T,
        expected @ expected.T,
        atol=4e-3 * np.abs(expected @ expected.T).max(),
    )


@pytest.mark.parametrize("kind", ["gram_pca", "sketch_pca"])
def test_the_mean_alone_is_one_number(adapters: list[Adapter], kind: str) -> None:
    module = "unet.a.to_q"
    projection = fitted(kind, [only(a, module) for a in adapters], keep="mean")
    rows = flattened(adapters, module)
    mean = rows.mean(0)
    found = projection.transform(adapters).scores[:, 0]
    assert projection.basis.components == (1,) and not found[:, 1:].any()
    np.testing.assert_allclose(
        found[:, 0], rows @ mean / np.linalg.norm(mean), rtol=5e-3, atol=5e-3
    )


@pytest.mark.parametrize("kind", ["gram_pca", "incremental_pca", "sketch_pca"])
def test_one_file_gets_the_scores_that_it_has_in_the_collection(
    adapters: list[Adapter], kind: str
) -> None:
    prepared = prepare(settings_of(kind, components=6), adapters)
    train = np.arange(8)
    basis = prepared.fit(train)
    together = prepared.features(basis, train, ALL)
    for i in (2, 11):  # fitted on, and not
        alone = basis.transform(adapters[i])
        np.testing.assert_allclose(alone.scores[0], together.scores[i], atol=1e-4)


def test_basis_knows_only_its_training_loras(make_adapter: MakeAdapter) -> None:
    some = [make_adapter(seed) for seed in range(8)]
    others = [make_adapter(seed) for seed in range(100, 104)]
    changed = [make_adapter(seed) for seed in range(200, 204)]
    for kind in ("gram_pca", "sketch_pca"):
        settings = settings_of(kind, components=6)
        first = prepare(settings, [*some, *others]).fit(np.arange(8))
        second = prepare(settings, [*some, *changed]).fit(np.arange(8))
        assert first.hash() == second.hash()


@pytest.mark.parametrize("kind", ["gram_pca", "incremental_pca", "sketch_pca"])
def test_components_never_exceed_what_the_data_has(
    make_adapter: MakeAdapter, kind: str
) -> None:
    triplets = [make_adapter(seed % 3) for seed in range(9)]
    # Three different points span a plane.
    assert fitted(kind, triplets).basis.components == (2, 2, 2)


@pytest.mark.parametrize("kind", ["gram_pca", "incremental_pca", "sketch_pca"])
def test_modules_that_do_not_differ_are_left_out(
    make_adapter: MakeAdapter, kind: str
) -> None:
    assert fitted(kind, [make_adapter(1)] * 5).basis.facts.modules == ()


def settings_of(kind: str, **more: object) -> FeatureSettings:
    fields = {"projection": kind, "components": WIDTH, "scale": "none", "batch": 64}
    return FeatureSettings.model_validate(fields | more)


def fitted(kind: str, adapters: list[Adapter], **more: object) -> Projection:
    return new_projection(settings_of(kind, **more)).fit(adapters)


def sharing(count: int, noise: float) -> list[Adapter]:
    """LoRAs of a wide module whose updates lie in 5 x 5 shared directions."""
    rng = np.random.default_rng(3)
    left, right = rng.standard_normal((90, 5)), rng.standard_normal((5, 70))
    adapters: list[Adapter] = []
    for i in range(count):
        up = left @ rng.standard_normal((5, 4)) + noise * rng.standard_normal((90, 4))
        down = rng.standard_normal((4, 5)) @ right
        down = down + noise * rng.standard_normal((4, 70))
        adapters.append(adapter_of({"unet.w": LowRankUpdate(up, down)}, str(i)))
    return adapters


def only(adapter: Adapter, module: str) -> Adapter:
    return adapter_of({module: adapter.updates[module]}, adapter.name)
