"""Files → features, alone and in a row."""

from pathlib import Path

import numpy as np
import pytest

from lorajax.adapters.adapter import read_adapter
from lorajax.config import FeatureSettings
from lorajax.errors import FormatError
from lorajax.projection.basis import Basis
from lorajax.projection.preparing import new_projection
from lorajax.projection.reading import read_features, read_many_features
from tests.projection.test_projector import saved


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [saved(tmp_path, 4, seed) for seed in range(6)]


@pytest.fixture
def basis(files: list[Path]) -> Basis:
    adapters = [read_adapter(path) for path in files]
    return new_projection(FeatureSettings(components=4)).fit(adapters).basis


def test_many_files_in_their_order_are_each_by_itself(
    files: list[Path], basis: Basis
) -> None:
    together = list(read_many_features(files, basis))
    assert [key for key, _ in together] == [read_adapter(p).content_key for p in files]
    for path, (key, features) in zip(files, together, strict=True):
        alone_key, alone = read_features(path, basis)
        assert alone_key == key
        np.testing.assert_array_equal(features.scores, alone.scores)
    assert list(read_many_features([], basis)) == []


def test_a_bad_file_stops_after_those_before_it(
    files: list[Path], basis: Basis
) -> None:
    files[2].write_bytes(b"no LoRA")
    found = read_many_features(files, basis)
    assert [next(found)[0] for _ in range(2)] == [
        read_adapter(path).content_key for path in files[:2]
    ]
    with pytest.raises(FormatError, match=files[2].name):
        next(found)
