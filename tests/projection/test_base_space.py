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
        errors.append(x @ y - weighed_cosine(a, mixed))
    assert abs(np.mean(errors)) < 0.04
    assert np.std(errors) < 0.08


def test_sign_matrices_are_the_same_for_ever() -> None:
    """A change here changes every stored vector: raise the space's version with it."""
    matrix = sign_matrix("unet.a.to_q/left", 5, 3) * np.sqrt(3)
    expected = [[-1, 1, 1], [-1, -1, -1], [-1, -1, 1], [-1, -1, -1], [1, 1, 1]]
    np.testing.assert_allclose(matrix, expected, rtol=1e-6)


def weighed_cosine(
    first: dict[str, LowRankUpdate], second: dict[str, LowRankUpdate]
) -> float:
    """Of updates whose modules are brought to the roots of their norms."""
    a, b = (
        np.concatenate(
            [
                u.dense().ravel() / np.sqrt(np.linalg.norm(u.dense()))
                for u in updates.values()
            ]
        )
        for updates in (first, second)
    )
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
