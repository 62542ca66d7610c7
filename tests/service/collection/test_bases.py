"""Bases are fitted once for the same LoRAs and settings."""

import os
import threading
from pathlib import Path

import pytest

from lorajax.config import FeatureSettings
from lorajax.dataset.feature_index import locked
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
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-9])
    again = kept_basis(tmp_path, SETTINGS, ["a"], lambda: basis)
    assert again.hash() == basis.hash()
    assert kept_basis(tmp_path, SETTINGS, ["a"], lambda: pytest.fail("anew")).hash()


def test_the_longest_unused_go(tmp_path: Path, basis: Basis) -> None:
    for age, name in enumerate(("new", "old")):
        kept_basis(tmp_path, SETTINGS, [name], lambda: basis)
        newest = max(tmp_path.glob("*.safetensors"), key=lambda f: f.stat().st_mtime)
        os.utime(newest, (1e9 - age, 1e9 - age))
    small = SETTINGS.model_copy(update={"cache_mb": 0})
    kept_basis(tmp_path, small, ["last"], lambda: basis)
    # What is in use stays, whatever it takes.
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def test_one_that_goes_while_it_is_read_is_fitted_anew(
    tmp_path: Path, basis: Basis, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_basis(tmp_path, SETTINGS, ["a"], lambda: basis)
    touch = os.utime

    def pruned_by_another(path: Path) -> None:
        path.unlink()
        touch(path)

    monkeypatch.setattr(os, "utime", pruned_by_another)
    fitted: list[Basis] = []
    kept_basis(tmp_path, SETTINGS, ["a"], lambda: fitted.append(basis) or basis)
    assert fitted and list(tmp_path.glob("*.safetensors"))


def test_one_process_at_a_time_writes_and_no_other_file_is_pruned(
    tmp_path: Path, basis: Basis
) -> None:
    (tmp_path / "other.part").write_bytes(b"being written")
    small = SETTINGS.model_copy(update={"cache_mb": 0})
    writer = threading.Thread(
        target=kept_basis, args=(tmp_path, small, ["a"], lambda: basis)
    )
    with locked(tmp_path / "lock"):
        writer.start()
        writer.join(0.3)
        assert not list(tmp_path.glob("*.safetensors"))
    writer.join()
    assert list(tmp_path.glob("*.safetensors"))
    assert (tmp_path / "other.part").is_file()
