"""The fit-free space: a function of ΔW, fixed for ever, close to true cosines."""

import numpy as np

from lorajax.adapters.low_rank import LowRankUpdate
from lorajax.projection.base_space import WIDTH, base_space_vector
from lorajax.projection.signs import sign_matrix
from tests.conftest import SHAPES, adapter_of


def random_updates(seed: int, rank: int) -> dict[str, LowRankUpdate]:
    rng = np.random.default_rng(seed)
    return {
        module: LowRankUpdate(
            rng.standard_normal((out, rank)), rng.standard_normal((rank, in_)), 0.7
        )
        for module, (out, in_) in SHAPES.items()
    }


def test_unit_length_and_cosines_near_the_true_ones() -> None:
    """Over many pairs the error has the spread that the two sketches allow for."""
    errors = []
    for seed in range(40):
        a, b = random_updates(seed, 2), random_updates(seed + 500, 2)
        mixed = {
            m: LowRankUpdate(
                np.hstack([a[m].up, b[m].up]), np.vstack([a[m].down, b[m].down])
            )
            for m in a
        }
        x, y = (base_space_vector(adapter_of(u)) for u in (a, mixed))
        assert abs(np.linalg.norm(x) - 1) < 1e-6 and x.shape == (WIDTH,)
        true = [cosine(a[m].dense(), mixed[m].dense()) for m in a]
        errors.append(x @ y - np.mean(true))
    assert abs(np.mean(errors)) < 0.08
    assert np.std(errors) < 0.15


def test_sign_matrices_are_the_same_for_ever() -> None:
    """A change here changes every stored vector: raise the space's version with it."""
    matrix = sign_matrix("unet.a.to_q/left", 5, 3) * np.sqrt(3)
    expected = [[-1, 1, 1], [-1, -1, -1], [-1, -1, 1], [-1, -1, -1], [1, 1, 1]]
    np.testing.assert_allclose(matrix, expected, rtol=1e-6)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.vdot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))
