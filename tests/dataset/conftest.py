"""A cache with something in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lorajax.dataset.feature_cache import FeatureCache
from tests.dataset.cached import made, opened


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """The folder of all caches, in which one has the LoRAs `0` to `9`."""
    with opened(tmp_path) as cache:
        cache.put_many([str(i) for i in range(10)], made(*range(10)))
    return tmp_path


@pytest.fixture
def cache(filled: Path) -> Iterator[FeatureCache]:
    with opened(filled) as cache:
        yield cache
