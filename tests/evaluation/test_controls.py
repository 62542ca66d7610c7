"""Controls against definitions written out in NumPy, on small random LoRAs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA, TruncatedSVD

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.dense import DenseUpdate
from lorajax.adapters.interface import Update
from lorajax.adapters.low_rank import LowRankUpdate
from lorajax.evaluation.controls import (
    CONTROLS,
    control_similarities,
    kernels,
    prepare_controls,
    reading,
    rows,
    similarities_of,
)
from tests.conftest import SHAPES, MakeAdapter, adapter_of

MODULES = tuple(SHAPES)
WIDEST = 4  # ranks of `make_adapter` are 1 to 4
COUNT = 14
TRAIN, WANTED = np.arange(9), np.arange(7, COUNT)
NO_FACTORS = (3, 11)  # one to fit on, one to compare


@pytest.fixture(scope="module")
def adapters(make_adapter: MakeAdapter) -> list[Adapter]:
    """Ranks and modules differ; two have no plain factors, one shares its numbers."""
    made = [make_adapter(i, MODULES[: 1 + (i % 3)]) for i in range(COUNT)]
    for i in NO_FACTORS:
        dense: dict[str, Update] = {
            m: DenseUpdate(u.dense()) for m, u in made[i].updates.items()
        }
        made[i] = adapter_of(dense, f"dense-{i}")
    # A constant number among the training LoRAs has no z-score.
    for adapter in made:
        for update in adapter.updates.values():
            if isinstance(update, LowRankUpdate):
                update.stored_down[0, 0] = 0.25
    return made


@pytest.fixture(scope="module")
def found(adapters: list[Adapter]) -> dict[str, np.ndarray]:
    return control_similarities(adapters, TRAIN, WANTED, seed=0)


def cosines(vectors: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, norm, out=np.zeros_like(vectors), where=norm > 0)
    return unit @ unit.T


def dense_of(adapter: Adapter, module: str) -> np.ndarray:
    update = adapter.updates.get(module)
    return np.zeros(SHAPES[module]) if update is None else update.dense().astype("f8")


def factor_numbers(adapter: Adapter) -> np.ndarray:
    """All A and B side by side, padded to the largest rank."""
    parts = []
    for module, (out, in_) in SHAPES.items():
        up, down = np.zeros((out, WIDEST)), np.zeros((WIDEST, in_))
        update = adapter.updates.get(module)
        if isinstance(update, LowRankUpdate):
            up[:, : update.rank] = update.stored_up * update.scale
            down[: update.rank] = update.stored_down
        parts += [up.ravel(), down.ravel()]
    return np.concatenate(parts)


def expect(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_every_control_compares_every_pair(found: dict[str, np.ndarray]) -> None:
    assert tuple(found) == CONTROLS
    for similarity in found.values():
        assert similarity.shape == (len(WANTED),) * 2
        assert np.isfinite(similarity).all()
        np.testing.assert_allclose(similarity, similarity.T, atol=1e-9)


def test_unlearned_controls_equal_their_definitions(
    adapters: list[Adapter], found: dict[str, np.ndarray]
) -> None:
    wanted = [adapters[i] for i in WANTED]
    dense = [[dense_of(a, m) for m in MODULES] for a in wanted]
    raw = np.array([np.concatenate([d.ravel() for d in own]) for own in dense])
    norms = np.array([[np.linalg.norm(d) for d in own] for own in dense])
    spectra = [[np.linalg.svd(d, compute_uv=False) for d in own] for own in dense]
    expect(found[rows.RAW], cosines(raw))
    expect(found[rows.NORM], cosines(norms))
    expect(
        found[rows.SPECTRUM], cosines(np.array([np.concatenate(s) for s in spectra]))
    )


def test_random_has_a_seed_and_knows_no_split(adapters: list[Adapter]) -> None:
    prepared = prepare_controls(adapters)
    first = similarities_of(prepared, TRAIN, WANTED, 0)[rows.RANDOM]
    again = similarities_of(prepared, TRAIN[:4], WANTED[2:], 0)[rows.RANDOM]
    other = similarities_of(prepared, TRAIN, WANTED, 1)[rows.RANDOM]
    np.testing.assert_allclose(first[2:, 2:], again, atol=1e-12)
    assert np.abs(first - other).max() > 0.1
    np.testing.assert_allclose(np.diag(first), 1.0)


def test_statistics_are_those_of_each_module_s_spectrum(
    adapters: list[Adapter], found: dict[str, np.ndarray]
) -> None:
    def five(update: Update) -> np.ndarray:
        s = np.linalg.svd(update.dense().astype("f8"), compute_uv=False)
        s = s[s > 1e-5 * s[0]]
        p = s**2 / np.sum(s**2)
        entropy = -np.sum(p * np.log(p))
        stable, participation = np.sum(s**2) / s[0] ** 2, 1 / np.sum(p**2)
        values = [np.linalg.norm(s), s[0], stable, np.exp(entropy), participation]
        return np.array(values)

    table = []
    for adapter in adapters:
        each = np.array([five(update) for update in adapter.updates.values()])
        table.append([each.mean(0), each.std(0), each.min(0), each.max(0)])
    numbers = np.array(table).reshape(COUNT, 20)
    mean, spread = numbers[TRAIN].mean(0), numbers[TRAIN].std(0)
    expect(found[rows.STATISTICS], cosines((numbers[WANTED] - mean) / spread))


def test_mean_only_is_the_way_along_the_training_mean(
    adapters: list[Adapter], found: dict[str, np.ndarray]
) -> None:
    vectors = np.zeros((len(WANTED), len(MODULES)))
    for n, module in enumerate(MODULES):
        mean = np.mean([dense_of(adapters[i], module) for i in TRAIN], axis=0)
        for row, i in enumerate(WANTED):
            product = np.sum(dense_of(adapters[i], module) * mean)
            vectors[row, n] = product / np.linalg.norm(mean)
    expect(found[rows.MEAN], cosines(vectors))


def test_w2w_is_a_pca_of_z_scored_factors(
    adapters: list[Adapter], found: dict[str, np.ndarray]
) -> None:
    numbers = np.array([factor_numbers(a) for a in adapters])
    fitted = numbers[[i for i in TRAIN if i not in NO_FACTORS]]
    mean, spread = fitted.mean(0), fitted.std(0)
    varies = spread > 1e-6 * np.abs(mean)
    scores = (numbers - mean)[:, varies] / spread[varies]
    pca = PCA(len(fitted) - 1).fit(scores[[i for i in TRAIN if i not in NO_FACTORS]])
    vectors = pca.transform(scores[WANTED])
    vectors[[i in NO_FACTORS for i in WANTED]] = 0.0
    expect(found[rows.W2W], cosines(vectors))


def test_mbc_is_a_truncated_svd_of_the_largest_fifth(
    adapters: list[Adapter], found: dict[str, np.ndarray]
) -> None:
    numbers = np.array([factor_numbers(a) for a in adapters])
    for row, adapter in zip(numbers, adapters, strict=True):
        plain = [u for u in adapter.updates.values() if isinstance(u, LowRankUpdate)]
        stored = sum(u.stored_up.size + u.stored_down.size for u in plain)
        kept = stored - int(0.8 * stored)
        row[np.argsort(np.abs(row))[: len(row) - kept]] = 0.0
    fitted = numbers[[i for i in TRAIN if i not in NO_FACTORS]]
    svd = TruncatedSVD(len(fitted), n_iter=20, random_state=0)
    svd.fit(fitted)
    expect(found[rows.MBC], cosines(svd.transform(numbers[WANTED])))


def test_dsire_is_a_mean_distance_of_spectra(
    adapters: list[Adapter], found: dict[str, np.ndarray]
) -> None:
    def spectra(adapter: Adapter) -> list[np.ndarray]:
        own = []
        for module, shape in SHAPES.items():
            update = adapter.updates.get(module)
            none = np.zeros((min(shape),) * 2)
            pair = update.factors() if isinstance(update, LowRankUpdate) else None
            up, down = pair or (none, none)
            for matrix in (down, up, dense_of(adapter, module)):
                values = np.linalg.svd(matrix, compute_uv=False)
                own.append(np.pad(values, (0, 16 - len(values))))
        return own

    every = np.array([spectra(a) for a in adapters])  # [b, 9, 16]
    lengths = np.linalg.norm(every[TRAIN], axis=-1)
    scale = np.sqrt((lengths**2).sum(0) / (lengths > 0).sum(0))
    scaled = every[WANTED] / scale[:, None]
    distance = np.linalg.norm(scaled[:, None] - scaled[None, :], axis=-1).mean(-1)
    expect(found[rows.DSIRE], -distance)


def test_a_lora_without_factors_is_like_nothing(found: dict[str, np.ndarray]) -> None:
    without = np.flatnonzero(np.isin(WANTED, NO_FACTORS))
    for name in (rows.DOWN, rows.W2W, rows.MBC):
        assert not found[name][without].any() and not found[name][:, without].any()
    for name in (rows.RAW, rows.SPECTRUM, rows.STATISTICS, rows.MEAN):
        np.testing.assert_allclose(np.diag(found[name]), 1.0)


def test_an_absent_module_is_a_zero_update(
    adapters: list[Adapter], found: dict[str, np.ndarray]
) -> None:
    """Written out as zeros, all but the statistics of live modules stay."""
    written = []
    for adapter in adapters:
        updates = dict(adapter.updates)
        for module, (out, in_) in SHAPES.items():
            zero = DenseUpdate(np.zeros((out, in_), np.float32))
            updates.setdefault(module, zero)
        written.append(adapter_of(updates, adapter.name))
    again = control_similarities(written, TRAIN, WANTED, seed=0)
    for name in CONTROLS:
        expect(again[name], found[name])


def test_nothing_is_fitted_on_held_out_loras(
    adapters: list[Adapter], found: dict[str, np.ndarray], make_adapter: MakeAdapter
) -> None:
    """Another LoRA in a held-out place changes its own row alone."""
    changed = [*adapters[:-1], make_adapter(99, MODULES)]
    again = control_similarities(changed, TRAIN, WANTED, seed=0)
    fewer = control_similarities(adapters, TRAIN, WANTED[:-1], seed=0)
    for name in CONTROLS:
        expect(again[name][:-1, :-1], found[name][:-1, :-1])
        expect(fewer[name], found[name][:-1, :-1])
        if name != rows.RANDOM:
            assert np.abs(again[name][-1] - found[name][-1]).max() > 1e-4


def test_factors_show_their_gauge_and_updates_do_not(
    adapters: list[Adapter], found: dict[str, np.ndarray]
) -> None:
    rng = np.random.default_rng(5)
    turned = []
    for adapter in adapters:
        updates = dict(adapter.updates)
        for module, update in adapter.updates.items():
            if isinstance(update, LowRankUpdate):
                gauge = rng.standard_normal((update.rank, update.rank))
                up = update.stored_up @ gauge
                down = np.linalg.solve(gauge, update.stored_down)
                updates[module] = LowRankUpdate(up, down, update.scale)
        turned.append(adapter_of(updates, adapter.name))
    again = control_similarities(turned, TRAIN, WANTED, seed=0)
    by_factors = {rows.DOWN, rows.W2W, rows.MBC, rows.DSIRE}
    for name in CONTROLS:
        same = np.abs(again[name] - found[name]).max() < 1e-4
        assert same == (name not in by_factors), name


class OnDisk(Sequence[Adapter]):
    """Counts how often each LoRA is read."""

    def __init__(self, adapters: Sequence[Adapter]) -> None:
        self.adapters = adapters
        self.reads = np.zeros(len(adapters), int)

    def __len__(self) -> int:
        return len(self.adapters)

    def __getitem__(self, i: Any) -> Any:
        self.reads[i] += 1
        return self.adapters[i]


def test_what_fits_is_read_once_for_all_splits(adapters: list[Adapter]) -> None:
    disk = OnDisk(adapters)
    prepared = prepare_controls(disk)
    # The checks of the test run look at a LoRA now and then.
    assert disk.reads.min() == 1 and disk.reads.sum() < 2 * COUNT
    disk.reads[:] = 0
    for seed in range(3):
        similarities_of(prepared, TRAIN, WANTED, seed)
    assert not disk.reads.any()


def test_memory_may_be_short(
    adapters: list[Adapter],
    found: dict[str, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernels, "STACKED", 60)
    monkeypatch.setattr(reading, "HELD", 1e-6)
    disk = OnDisk(adapters)
    prepared = prepare_controls(disk)
    disk.reads[:] = 0
    again = similarities_of(prepared, TRAIN, WANTED, 0)
    assert disk.reads.min() == len(MODULES)
    for name in CONTROLS:
        expect(again[name], found[name])


def test_without_anything_to_fit_on_there_is_no_likeness(
    adapters: list[Adapter],
) -> None:
    none = np.zeros(0, np.int64)
    for train in (none, np.array(NO_FACTORS[:1])):
        found = control_similarities(adapters, train, WANTED, seed=0)
        for name in (rows.W2W, rows.MBC):
            assert not found[name].any()
        assert all(np.isfinite(similarity).all() for similarity in found.values())


def test_progress_is_told(adapters: list[Adapter]) -> None:
    told: list[tuple[str, int, int]] = []
    prepare_controls(adapters, lambda *words: told.append(words))
    assert told[COUNT - 1] == ("reading LoRAs", COUNT, COUNT)
    assert told[-1] == ("comparing modules", len(MODULES), len(MODULES))
