"""Features that a cache is filled with, and how to open it."""

from pathlib import Path

import numpy as np

from lorajax.dataset.feature_cache import FeatureCache
from lorajax.dataset.feature_folders import open_cache
from lorajax.dataset.feature_records import packed, unpacked
from lorajax.projection.features import Features

BASIS, MODULES, WIDTH = "ba515", 24, 32


def made(*seeds: int) -> Features:
    """Features of LoRAs, each told by its seed; the child processes make the same."""
    shape = (MODULES, WIDTH)
    drawn = [np.random.default_rng(seed).standard_normal(shape) for seed in seeds]
    scores = np.array(drawn, "f4").reshape(-1, *shape)
    return Features(scores, np.ones((len(seeds), MODULES), bool))


def same(found: Features, expected: Features) -> bool:
    """Whether what was read is what a record of it can hold, to the bit."""
    kept = unpacked(packed(expected))
    scores = np.array_equal(found.scores, kept.scores)
    return scores and np.array_equal(found.mask, kept.mask)


def opened(root: Path, basis: str = BASIS) -> FeatureCache:
    return open_cache(root, basis, MODULES, WIDTH)
