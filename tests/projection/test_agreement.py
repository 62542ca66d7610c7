"""Contributions of modules against dense arithmetic."""

import numpy as np
import pytest

from lorajax.errors import ProjectionError
from lorajax.projection.agreement import (
    base_contributions,
    contributions,
    pair_modules,
)
from lorajax.projection.base_space import base_space_vector
from tests.conftest import MakeAdapter


def dense(adapter):
    return {m: update.dense().ravel() for m, update in adapter.updates.items()}


def test_norms_and_cosines_are_those_of_dense_updates(
    make_adapter: MakeAdapter,
) -> None:
    first, second = make_adapter(1), make_adapter(2)
    one, other = dense(first), dense(second)
    found = pair_modules(first, second)
    assert {pair.module for pair in found} == set(one) | set(other)
    for pair in found:
        a, b = (side.get(pair.module, np.zeros(1)) for side in (one, other))
        norms = np.linalg.norm(a), np.linalg.norm(b)
        assert pair.norms == pytest.approx(norms, rel=1e-5)
        if all(norms):
            assert pair.cosine == pytest.approx(a @ b / np.prod(norms), abs=1e-5)
        else:
            assert pair.cosine is None


def test_the_base_space_estimates_the_sum_of_contributions(
    make_adapter: MakeAdapter,
) -> None:
    def difference(seed: int) -> float:
        first, second = make_adapter(seed), make_adapter(seed + 1000)
        added = base_contributions(pair_modules(first, second))
        stored = float(base_space_vector(first) @ base_space_vector(second))
        return stored - sum(added.values())

    errors = [difference(seed) for seed in range(40)]
    assert abs(np.mean(errors)) < 0.03 and np.std(errors) < 0.15
    same = make_adapter(1)
    added = base_contributions(pair_modules(same, same))
    assert sum(added.values()) == pytest.approx(1, abs=1e-5)


def test_contributions_of_parts_sum_to_the_cosine() -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 7, 5))
    whole = first.sum(0) @ second.sum(0)
    found = contributions(first, second)
    assert found.sum() == pytest.approx(whole)
    np.testing.assert_allclose(found, contributions(second, first))
    apart = np.zeros((3, 6))  # parts without anything in common but their own
    apart[[0, 1, 2], [0, 1, 2]] = 1, 2, 3
    np.testing.assert_allclose(contributions(apart, apart), [1, 4, 9])


def test_other_base_models_are_refused(make_adapter: MakeAdapter) -> None:
    first = make_adapter(1)
    second = make_adapter(2)
    object.__setattr__(second, "base_model", "flux")
    with pytest.raises(ProjectionError, match="LoRAs of one base model"):
        pair_modules(first, second)
