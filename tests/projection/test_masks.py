"""Absent = zero: what a LoRA does not change does not change its features."""

import numpy as np

from lorajax.adapters.adapter import Adapter
from lorajax.config import FeatureSettings
from lorajax.projection.base_space import base_space_vector
from lorajax.projection.preparing import new_projection
from tests.conftest import MakeAdapter, adapter_of

PARTIAL = ("unet.a.to_q", "unet.c.proj_in")


def collection(make_adapter: MakeAdapter) -> list[Adapter]:
    whole = [make_adapter(seed) for seed in range(6)]
    return [*whole, *(make_adapter(seed, PARTIAL) for seed in range(20, 24))]


def test_absent_modules_are_masked_and_take_no_part_in_the_fit(
    make_adapter: MakeAdapter,
) -> None:
    adapters = collection(make_adapter)
    for kind in ("gram_pca", "sketch_pca"):
        settings = FeatureSettings(projection=kind, components=8)
        projection = new_projection(settings).fit(adapters)
        features = projection.transform(adapters)
        place = projection.basis.facts.places["unet.b.to_k"]
        assert projection.basis.facts.fitted_on[place] == 6
        assert not features.mask[6:, place].any()
        assert not features.scores[6:, place].any()
        alone = new_projection(settings).fit(adapters[:6]).transform(adapters[:6])
        np.testing.assert_allclose(
            features.scores[:6, place], alone.scores[:, place], atol=1e-3
        )


def test_a_module_live_in_one_lora_only_is_left_out(make_adapter: MakeAdapter) -> None:
    adapters = [make_adapter(s, PARTIAL) for s in range(5)] + [make_adapter(9)]
    for kind in ("gram_pca", "sketch_pca"):
        projection = new_projection(FeatureSettings(projection=kind, components=4))
        assert projection.fit(adapters).basis.facts.modules == PARTIAL


def test_base_space_ignores_dead_modules(make_adapter: MakeAdapter) -> None:
    partial = make_adapter(3, PARTIAL)
    padded = adapter_of(dict(partial.updates), dead=("unet.b.to_k",))
    np.testing.assert_array_equal(base_space_vector(partial), base_space_vector(padded))
