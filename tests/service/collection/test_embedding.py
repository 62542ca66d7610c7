"""Vectors of files of several base models."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lorajax.adapters import adapter
from lorajax.errors import LorajaxError
from lorajax.service.collection import embedding

WIDTHS = {"sd1": 4, "gpt2": 3}


class Embedder:
    def space(self, base_model: str) -> str:
        return f"{base_model}:bundle"

    def embed(self, adapter: SimpleNamespace) -> np.ndarray:
        return np.ones(WIDTHS[adapter.base_model], np.float32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two LoRAs of `sd1` and one of `gpt2`, by their names."""

    def read(path: Path) -> SimpleNamespace:
        return SimpleNamespace(name=path.stem, base_model=path.stem.split("-")[0])

    monkeypatch.setattr(embedding, "open_embedder", lambda model: Embedder())
    monkeypatch.setattr(adapter, "read_adapter", read)
    for name in ("gpt2-a", "sd1-b", "sd1-c"):
        (tmp_path / f"{name}.safetensors").write_bytes(b"x")
    return tmp_path


def test_a_vector_that_fits_no_other_ends_it_at_once(folder: Path) -> None:
    seen: list[str] = []
    with pytest.raises(
        LorajaxError, match="of 3 numbers as before, found one of 4"
    ) as e:
        embedding.embed([folder], None, lambda progress: seen.append(progress.note))
    assert "--base" in e.value.hint and seen == ["gpt2-a.safetensors"]


def test_one_base_model_can_be_chosen(folder: Path) -> None:
    found = embedding.embed([folder], base_model="sd1")
    assert found.names == ("sd1-b", "sd1-c") and found.vectors.shape == (2, 4)
    assert found.notes == ("left out, of other base models: 1",)
    with pytest.raises(LorajaxError, match="expected LoRAs of 'flux', found gpt2, sd1"):
        embedding.embed([folder], base_model="flux")
