"""The jitted reference: equal to numpy, compiled once for each shape."""

import subprocess
import sys

import numpy as np

from lorajax.adapters.delta_weight import delta_weight


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
