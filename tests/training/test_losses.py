"""Losses against plain loops over their formulas, and what they do to embeddings."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lorajax.evaluation.metrics import cosines, map_at, ndcg_at, ranked_relevance
from lorajax.training.losses import (
    approx_ndcg,
    listnet,
    multi_similarity,
    proxy_anchor,
    smooth_ap,
    supervised_contrastive,
)
from lorajax.training.losses.ranks import ANCHORS_AT_ONCE
from tests.training.loss_loops import (
    LOOPS,
    PROXIES,
    STYLES,
    WIDTH,
    loop_multi_similarity,
)

# More LoRAs than are compared at once, and no multiple of it.
COUNT = ANCHORS_AT_ONCE + 9


class Known(NamedTuple):
    """What a loss on graded likeness is told."""

    similarity: np.ndarray
    known: np.ndarray


Truth = np.ndarray | Known
Loss = Callable[..., jax.Array]


def with_proxies(embeddings: jax.Array, labels: jax.Array) -> jax.Array:
    return proxy_anchor(embeddings, labels, jnp.asarray(PROXIES))


ON_LABELS: dict[str, Loss] = {
    "supervised_contrastive": partial(supervised_contrastive, temperature=0.1),
    "multi_similarity": multi_similarity,
    "proxy_anchor": with_proxies,
    "smooth_ap": smooth_ap,
}
ON_LIKENESS: dict[str, Loss] = {
    "listnet": partial(listnet, temperature=0.1, teacher_temperature=0.7),
    "approx_ndcg": partial(approx_ndcg, temperature=0.05),
}
LOSSES = {name: jax.jit(loss) for name, loss in (ON_LABELS | ON_LIKENESS).items()}
GRADIENTS = {name: jax.jit(jax.grad(loss)) for name, loss in LOSSES.items()}

on_labels = pytest.mark.parametrize("name", ON_LABELS)
on_likeness = pytest.mark.parametrize("name", ON_LIKENESS)
on_all = pytest.mark.parametrize("name", LOSSES)
on_seeds = pytest.mark.parametrize("seed", range(4))


def unit(rng: np.random.Generator) -> np.ndarray:
    raw = rng.standard_normal((COUNT, WIDTH))
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def truth_of(name: str, rng: np.random.Generator) -> Truth:
    """Labels or likeness, a third of it unknown, and some labels of one LoRA."""
    if name in ON_LABELS:
        labels = rng.integers(STYLES - 2, size=COUNT)
        labels[rng.permutation(COUNT)[: COUNT // 3]] = -1
        labels[[0, 1]] = STYLES - 2, STYLES - 1
        return labels
    hidden = unit(rng)
    similarity = 3.0 * hidden @ hidden.T
    similarity[2] = similarity[:, 2] = -0.5  # nothing is like this one
    return Known(similarity, rng.random(COUNT) < 2 / 3)


def given(embeddings: np.ndarray, truth: Truth) -> tuple[jax.Array, ...]:
    """What a loss takes, in its order."""
    parts = truth if isinstance(truth, Known) else (truth,)
    return tuple(
        jnp.asarray(x, jnp.float32) if x.dtype == float else jnp.asarray(x)
        for x in (embeddings, *parts)
    )


def chosen(truth: Truth, at: np.ndarray) -> Truth:
    """The same truth of some LoRAs, in some order."""
    if isinstance(truth, Known):
        return Known(truth.similarity[np.ix_(at, at)], truth.known[at])
    return truth[at]


def is_known(truth: Truth) -> np.ndarray:
    return truth.known if isinstance(truth, Known) else truth >= 0


@on_all
@on_seeds
def test_a_loss_equals_its_formula(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    embeddings, truth = unit(rng), truth_of(name, rng)
    loss = LOSSES[name](*given(embeddings, truth))
    assert loss.shape == () and loss.dtype == jnp.float32
    parts = truth if isinstance(truth, Known) else (truth,)
    np.testing.assert_allclose(loss, LOOPS[name](embeddings, *parts), rtol=1e-4)


@on_seeds
def test_multi_similarity_mines_both_ways(seed: int) -> None:
    """With sharpness so mild that every mined pair counts."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, STYLES, size=COUNT)
    embeddings = unit(rng) + 0.6 * unit(rng)[labels]  # some near, some far
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    loss = multi_similarity(*given(embeddings, labels), alpha=1.0, beta=2.0, base=0.2)
    expected = loop_multi_similarity(embeddings, labels, 1.0, 2.0, 0.2)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


@on_all
def test_the_order_of_a_batch_does_not_matter(name: str) -> None:
    rng = np.random.default_rng(5)
    embeddings, truth, order = unit(rng), truth_of(name, rng), rng.permutation(COUNT)
    loss, again = (
        LOSSES[name](*given(embeddings[at], chosen(truth, at)))
        for at in (np.arange(COUNT), order)
    )
    np.testing.assert_allclose(loss, again, rtol=1e-5)


@on_all
def test_what_is_unknown_changes_nothing(name: str) -> None:
    rng = np.random.default_rng(6)
    embeddings, truth = unit(rng), truth_of(name, rng)
    at = np.flatnonzero(is_known(truth))
    if isinstance(truth, Known):
        # Not even where the teacher has no number.
        truth.similarity[~truth.known] = truth.similarity[:, ~truth.known] = np.nan
        np.fill_diagonal(truth.similarity, np.nan)
    whole = LOSSES[name](*given(embeddings, truth))
    alone = LOSSES[name](*given(embeddings[at], chosen(truth, at)))
    np.testing.assert_allclose(whole, alone, rtol=1e-5)
    gradient = np.asarray(GRADIENTS[name](*given(embeddings, truth)))
    assert np.isfinite(gradient).all() and gradient[at].any()
    assert not np.delete(gradient, at, axis=0).any()


SAME = np.tile(np.eye(WIDTH)[:1], (COUNT, 1))
PLACES = {
    "random": unit(np.random.default_rng(7)),
    "identical": SAME,
    "zero": np.zeros((COUNT, WIDTH)),
    "opposite": SAME * np.where(np.arange(COUNT) % 2, 1.0, -1.0)[:, None],
}
LABELS = {
    "unknown": np.full(COUNT, -1),
    "one LoRA known": np.where(np.arange(COUNT) == 3, 0, -1),
    "each its own": np.arange(COUNT) % 50,
    "one label": np.zeros(COUNT, int),
    "pairs": np.arange(COUNT) // 2,
}
RANDOM_LIKENESS = np.random.default_rng(8).standard_normal((COUNT, COUNT))
LIKENESS = {
    "unknown": Known(RANDOM_LIKENESS, np.zeros(COUNT, bool)),
    "one LoRA known": Known(RANDOM_LIKENESS, np.arange(COUNT) == 3),
    "two LoRAs known": Known(RANDOM_LIKENESS, np.arange(COUNT) < 2),
    "zero likeness": Known(np.zeros((COUNT, COUNT)), np.ones(COUNT, bool)),
    "no likeness": Known(-np.abs(RANDOM_LIKENESS), np.ones(COUNT, bool)),
    "huge likeness": Known(1e4 * RANDOM_LIKENESS, np.ones(COUNT, bool)),
}
# What asks for nothing, whatever the loss; one LoRA still has proxies to part from.
SILENT = {
    (name, case)
    for name in LOSSES
    for case in ("unknown", "one LoRA known")
    if (name, case) != ("proxy_anchor", "one LoRA known")
} | {
    ("supervised_contrastive", "each its own"),
    ("multi_similarity", "each its own"),
    ("smooth_ap", "each its own"),
    ("multi_similarity", "one label"),
    ("approx_ndcg", "zero likeness"),
    ("approx_ndcg", "no likeness"),
}


@pytest.mark.parametrize(
    ("name", "case"),
    [(name, case) for name in ON_LABELS for case in LABELS]
    + [(name, case) for name in ON_LIKENESS for case in LIKENESS],
)
def test_degenerate_batches_are_finite(name: str, case: str) -> None:
    truth = LABELS[case] if name in ON_LABELS else LIKENESS[case]
    for embeddings in PLACES.values():
        inputs = given(embeddings, truth)
        loss, gradient = LOSSES[name](*inputs), np.asarray(GRADIENTS[name](*inputs))
        assert np.isfinite(loss) and np.isfinite(gradient).all()
        if (name, case) in SILENT:
            assert loss == 0 and not gradient.any()


def test_proxies_are_learned_whatever_their_length() -> None:
    rng = np.random.default_rng(10)
    embeddings, labels = given(unit(rng), truth_of("proxy_anchor", rng))
    loss = partial(proxy_anchor, embeddings, labels)
    long, short = (loss(jnp.asarray(length * PROXIES)) for length in (1e3, 1e-3))
    np.testing.assert_allclose(long, short, rtol=1e-4)
    gradient_of = jax.jit(jax.grad(loss))
    for proxies in (PROXIES, 0 * PROXIES):
        gradient = np.asarray(gradient_of(jnp.asarray(proxies)))
        assert np.isfinite(gradient).all() and gradient.any(1).all()


@on_labels
def test_two_opposite_styles_are_the_least_loss(name: str) -> None:
    labels = np.arange(COUNT) % 3 - 1
    pole = PROXIES[1] / np.linalg.norm(PROXIES[1])
    perfect = np.where(labels[:, None] == 1, pole, -pole)
    loss = LOSSES[name]
    if name == "proxy_anchor":
        poles = jnp.asarray([-pole, pole])
        loss = jax.jit(lambda e, labels: proxy_anchor(e, labels, poles))
    least = loss(*given(perfect, labels))
    rng = np.random.default_rng(11)
    others = [float(loss(*given(unit(rng), labels))) for _ in range(20)]
    assert least < min(others)
    # Positives share the probability that negatives have left.
    counts = [np.sum(labels == label) for label in (0, 1)]
    shared = np.average(np.log(np.array(counts) - 1), weights=counts)
    floor = shared if name == "supervised_contrastive" else 0.0
    np.testing.assert_allclose(least, floor, atol=1e-5)


def test_the_teachers_own_vectors_are_the_least_loss() -> None:
    rng = np.random.default_rng(12)
    vectors, known = unit(rng), rng.random(COUNT) < 0.8
    truth = Known(7 * vectors @ vectors.T, known)
    losses: list[Loss] = [
        jax.jit(partial(listnet, temperature=0.1, teacher_temperature=0.7)),
        jax.jit(partial(approx_ndcg, temperature=1e-5)),
    ]
    for loss in losses:
        others = [float(loss(*given(unit(rng), truth))) for _ in range(20)]
        np.testing.assert_allclose(loss(*given(vectors, truth)), 0.0, atol=2e-5)
        assert min(others) > 0.1


def retrieval(name: str, embeddings: np.ndarray, truth: Truth) -> float:
    """mAP of labels or nDCG of likeness, among the known."""
    at = np.flatnonzero(is_known(truth))
    cosine, truth = cosines(embeddings[at]), chosen(truth, at)
    if isinstance(truth, Known):
        return ndcg_at(cosine, truth.similarity)
    return map_at(ranked_relevance(cosine, truth[:, None] == truth[None, :]), len(at))


@on_all
@pytest.mark.parametrize("seed", range(2))
def test_descent_lowers_a_loss_and_raises_its_metric(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = truth_of(name, rng)
    start, *rest = given(unit(rng), truth)
    adam = optax.adam(0.03)

    def normed(raw: jax.Array) -> jax.Array:
        return raw / jnp.linalg.norm(raw, axis=-1, keepdims=True)

    def step(carry: tuple, _: None) -> tuple[tuple, jax.Array]:
        raw, state = carry
        loss, gradient = jax.value_and_grad(
            lambda raw: LOSSES[name](normed(raw), *rest)
        )(raw)
        updates, state = adam.update(gradient, state)
        return (optax.apply_updates(raw, updates), state), loss

    (end, _), losses = jax.jit(
        lambda raw: jax.lax.scan(step, (raw, adam.init(raw)), length=60)
    )(start)
    before, after = (
        retrieval(name, np.asarray(normed(raw)), truth) for raw in (start, end)
    )
    assert losses[-1] < 0.9 * losses[0]
    assert after > before + 0.1
