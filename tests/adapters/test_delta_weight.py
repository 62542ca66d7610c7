"""The jitted reference: equal to numpy, compiled once for each shape."""

import subprocess
import sys

import numpy as np

from lorajax.adapters.delta_weight import delta_weight, delta_weights
from lorajax.adapters.dense import DenseUpdate
from lorajax.adapters.low_rank import LowRankUpdate


def test_equals_numpy_and_compiles_once():
    rng = np.random.default_rng(0)
    delta_weight.clear_cache()  # pyright: ignore
    for scale in (1.0, 0.25, -2.0):
        up = rng.standard_normal((48, 4)).astype(np.float32)
        down = rng.standard_normal((4, 32)).astype(np.float32)
        dense = np.asarray(delta_weight(up, down, scale))
        np.testing.assert_allclose(dense, scale * (up @ down), rtol=1e-5, atol=1e-5)
    assert delta_weight._cache_size() == 1  # pyright: ignore


def test_reading_a_lora_loads_no_jax():
    code = "import sys, lorajax.adapters; print([m for m in sys.modules if m == 'jax'])"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_many_loras_of_any_rank_in_few_compiled_shapes():
    rng = np.random.default_rng(1)
    updates = [
        LowRankUpdate(
            rng.standard_normal((6, rank)).astype(dtype),
            rng.standard_normal((rank, 9)).astype(dtype),
            0.5,
        )
        for rank, dtype in [(1, "f4"), (3, "f2"), (4, "f4"), (2, "f8")] * 10
    ]
    delta_weight.clear_cache()  # pyright: ignore
    dense = delta_weights(updates)
    expected = np.stack([update.dense() for update in updates])
    np.testing.assert_allclose(dense, expected, rtol=1e-5, atol=1e-5)
    assert delta_weight._cache_size() <= 2  # pyright: ignore
    mixed = [updates[0], DenseUpdate(expected[1].astype("f4"))]
    np.testing.assert_allclose(delta_weights(mixed), expected[:2], rtol=1e-5, atol=1e-5)
