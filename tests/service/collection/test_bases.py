"""Bases are fitted once for the same LoRAs and settings."""

import os
from pathlib import Path

import pytest

from lorajax.config import FeatureSettings
from lorajax.projection.basis import Basis
from lorajax.projection.preparing import new_projection
from lorajax.service.collection.bases import kept_basis
from tests.conftest import MakeAdapter

SETTINGS = FeatureSettings(components=4)


@pytest.fixture
def basis(make_adapter: MakeAdapter) -> Basis:
    return new_projection(SETTINGS).fit([make_adapter(i) for i in range(6)]).basis


def test_it_is_fitted_once_for_the_same_loras_and_settings(
    tmp_path: Path, basis: Basis
) -> None:
    fitted: list[str] = []

    def kept(name: str, settings: FeatureSettings, *keys: str) -> str:
        def fit() -> Basis:
            fitted.append(name)
            return basis

        return kept_basis(tmp_path, settings, keys, fit).hash()

    hashes = {kept("first", SETTINGS, "a", "b"), kept("again", SETTINGS, "a", "b")}
    hashes.add(kept("elsewhere", SETTINGS.model_copy(update={"cache_mb": 9}), "a", "b"))
    assert fitted == ["first"] and hashes == {basis.hash()}
    kept("other order", SETTINGS, "b", "a")
    kept("other settings", SETTINGS.model_copy(update={"side": 4}), "a", "b")
    assert fitted == ["first", "other order", "other settings"]


def test_a_damaged_file_is_fitted_anew(tmp_path: Path, basis: Basis) -> None:
    kept_basis(tmp_path, SETTINGS, ["a"], lambda: basis)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-9])
    again = kept_basis(tmp_path, SETTINGS, ["a"], lambda: basis)
    assert again.hash() == basis.hash()
    assert kept_basis(tmp_path, SETTINGS, ["a"], lambda: pytest.fail("anew")).hash()


def test_the_longest_unused_go(tmp_path: Path, basis: Basis) -> None:
    for age, name in enumerate(("new", "old")):
        kept_basis(tmp_path, SETTINGS, [name], lambda: basis)
        newest = max(tmp_path.iterdir(), key=lambda f: f.stat().st_mtime)
        os.utime(newest, (1e9 - age, 1e9 - age))
    small = SETTINGS.model_copy(update={"cache_mb": 0})
    kept_basis(tmp_path, small, ["last"], lambda: basis)
    assert len(list(tmp_path.iterdir())) == 1  # what is in use stays, whatever it takes
