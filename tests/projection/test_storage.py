"""A basis on disk: the same scores after reading, and no silent damage."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lorajax.config import FeatureSettings
from lorajax.errors import CheckpointError, ProjectionError
from lorajax.projection.basis import Basis
from lorajax.projection.preparing import keeper, new_projection
from lorajax.projection.storage import load_basis, save_basis
from tests.conftest import MakeAdapter, adapter_of


def fitted(make_adapter: MakeAdapter, kind: str) -> Basis:
    settings = FeatureSettings.model_validate({"projection": kind, "components": 4})
    return new_projection(settings).fit([make_adapter(seed) for seed in range(6)]).basis


@pytest.mark.parametrize("kind", ["gram_pca", "sketch_pca", "incremental_pca"])
def test_round_trip(tmp_path: Path, make_adapter: MakeAdapter, kind: str) -> None:
    basis = fitted(make_adapter, kind)
    save_basis(basis, tmp_path / "basis.safetensors")
    again = load_basis(tmp_path / "basis.safetensors")
    assert again.facts == basis.facts and again.hash() == basis.hash()
    new = make_adapter(77)
    np.testing.assert_allclose(
        again.transform(new).scores, basis.transform(new).scores, rtol=1e-4, atol=1e-6
    )


def test_altered_contents_are_noticed(
    tmp_path: Path, make_adapter: MakeAdapter
) -> None:
    path = tmp_path / "basis.safetensors"
    basis = fitted(make_adapter, "gram_pca")
    save_basis(basis, path)
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    arrays = load_file(path)
    arrays["0.alpha"] = arrays["0.alpha"] * 2
    save_file(arrays, path, metadata=metadata)
    with pytest.raises(CheckpointError, match="do not match their hash"):
        load_basis(path)
    save_file(arrays, path, metadata={**metadata, "lorajax_basis": "99"})
    with pytest.raises(CheckpointError, match="expected a basis of version 3"):
        load_basis(path)
    path.write_bytes(b"not a basis")
    with pytest.raises(CheckpointError, match="not a readable basis"):
        load_basis(path)


def test_a_lora_of_another_base_model_is_refused(make_adapter: MakeAdapter) -> None:
    basis = fitted(make_adapter, "gram_pca")
    stranger = make_adapter(1)
    object.__setattr__(stranger, "base_model", "sdxl")
    with pytest.raises(ProjectionError, match="expected a LoRA of imaginary, found"):
        basis.transform(stranger)
    nothing = adapter_of({"unet.z": make_adapter(1).updates["unet.a.to_q"]})
    with pytest.raises(ProjectionError, match=r"none of its 1 live modules"):
        basis.transform(nothing)


def test_a_collection_too_large_is_refused_while_it_is_read(
    make_adapter: MakeAdapter,
) -> None:
    keep = keeper(FeatureSettings(projection="gram_pca", max_basis_mb=1))
    seed = 0
    with pytest.raises(ProjectionError, match=r"features\.max_basis_mb=1 MB"):
        for seed in range(100_000):
            keep(make_adapter(seed % 7))
    assert seed > 100  # the first files of such a collection are no problem
    keep = keeper(FeatureSettings(projection="sketch_pca", max_basis_mb=1))
    kept = [keep(make_adapter(seed % 7)) for seed in range(3000)]
    assert kept[0] is not None and kept[-1] is None  # the others are read again
