"""Absent = zero: what a LoRA does not change does not change its features."""

import numpy as np

from lorajax.adapters.adapter import Adapter
from lorajax.projection.base_space import base_space_vector
from lorajax.projection.gram_pca import PreparedGram
from lorajax.projection.linear_pca import PreparedSketch
from lorajax.projection.sketch import sketch_all
from tests.conftest import MakeAdapter, adapter_of

PARTIAL = ("unet.a.to_q", "unet.c.proj_in")


def collection(make_adapter: MakeAdapter) -> list[Adapter]:
    whole = [make_adapter(seed) for seed in range(6)]
    return [*whole, *(make_adapter(seed, PARTIAL) for seed in range(20, 24))]


def test_absent_modules_are_masked_and_take_no_part_in_the_fit(
    make_adapter: MakeAdapter,
) -> None:
    adapters = collection(make_adapter)
    prepared = PreparedGram(adapters)
    basis = prepared.fit(np.arange(10), 8)
    features = prepared.features(basis, np.arange(10))
    place = basis.facts.modules.index("unet.b.to_k")
    assert basis.facts.fitted_on[place] == 6
    assert not features.mask[6:, place].any()
    assert not features.scores[6:, place].any()
    without = PreparedGram(adapters[:6])
    alone = without.features(without.fit(np.arange(6), 8), np.arange(6))
    np.testing.assert_allclose(
        features.scores[:6, place], alone.scores[:, place], atol=1e-5
    )


def test_a_module_live_in_one_lora_only_is_left_out(make_adapter: MakeAdapter) -> None:
    adapters = [make_adapter(s, PARTIAL) for s in range(5)] + [make_adapter(9)]
    for prepared in (
        PreparedGram(adapters),
        PreparedSketch(sketch_all(adapters, 4), "imaginary"),
    ):
        assert prepared.fit(np.arange(6), 4).facts.modules == PARTIAL


def test_base_space_ignores_dead_modules(make_adapter: MakeAdapter) -> None:
    partial = make_adapter(3, PARTIAL)
    padded = adapter_of(dict(partial.updates), dead=("unet.b.to_k",))
    np.testing.assert_array_equal(base_space_vector(partial), base_space_vector(padded))
