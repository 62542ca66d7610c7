"""An empty library whose vectors tests write."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.library.vectors.stored import Stored


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Stored]:
    made = Stored(tmp_path / "library.sqlite")
    yield made
    made.close()
