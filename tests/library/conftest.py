"""An empty library, and a reader and an embedder of fake files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lorajax.library import Library
from tests.library.fakes import FakeEmbedder, Reader


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "store" / "library.sqlite") as opened:
        yield opened


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def embedder() -> FakeEmbedder:
    return FakeEmbedder()
