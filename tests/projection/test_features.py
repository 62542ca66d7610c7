"""Features on one scale, against what each way of normalising promises."""

import numpy as np
import pytest

from lorajax.projection.features import Features, module_lengths, normalised

LOUDER = 7.0


def some_features() -> Features:
    rng = np.random.default_rng(4)
    scores = rng.standard_normal((5, 6, 3)).astype("f4")
    scores *= rng.uniform(0.1, 9, (5, 6, 1)).astype("f4")
    mask = rng.random((5, 6)) > 0.3
    mask[:, 0] = True
    return Features(np.where(mask[..., None], scores, 0), mask)


def test_roots_keep_which_modules_are_strong() -> None:
    given = some_features()
    found = normalised(given, "root", module_lengths(given))
    before = np.linalg.norm(given.scores, axis=-1)
    after = np.linalg.norm(found.scores, axis=-1)
    for lora in range(len(given)):
        live = given.mask[lora]
        share = before[lora, live] / before[lora, live].mean()
        np.testing.assert_allclose(after[lora, live], share**0.5, rtol=1e-5)
    directions = given.scores * found.scores
    lengths = np.sum(directions, -1)[given.mask]
    np.testing.assert_allclose(lengths, (before * after)[given.mask], rtol=1e-5)


@pytest.mark.parametrize("how", ["unit", "root"])
def test_the_strength_of_a_lora_is_not_seen(how: str) -> None:
    given = some_features()
    louder = Features(given.scores * np.float32(LOUDER), given.mask)
    lengths = module_lengths(given)
    np.testing.assert_allclose(
        normalised(given, how, lengths).scores,
        normalised(louder, how, lengths).scores,
        rtol=1e-5,
        atol=1e-7,
    )


@pytest.mark.parametrize("how", ["unit", "root", "rms"])
def test_absent_modules_change_nothing(how: str) -> None:
    given = some_features()
    absent = ~given.mask[..., None]
    filled = Features(np.where(absent, np.float32(5), given.scores), given.mask)
    lengths = module_lengths(given)
    live = given.mask
    np.testing.assert_array_equal(
        normalised(given, how, lengths).scores[live],
        normalised(filled, how, lengths).scores[live],
    )
