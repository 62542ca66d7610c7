"""One LoRA, one vector: whichever way it is computed, however it is written."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import lorajax
from lorajax.config import EvaluationSettings, JobSettings
from lorajax.dataset.collection import read_collection
from lorajax.dataset.finding import find_supervision
from lorajax.dataset.splits import make_split
from lorajax.export.bundle import Bundle
from lorajax.projection.preparing import prepare
from lorajax.service.learning.exporting import export
from lorajax.service.learning.training import TrainingReport


@pytest.fixture(scope="module")
def bundle(
    tiny_run: TrainingReport, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    return lorajax.load(export(tiny_run.path, tmp_path_factory.mktemp("b") / "bundle"))


def test_a_bundle_gives_the_vectors_of_the_training_process(
    bundle: Bundle, tiny_job: JobSettings
) -> None:
    """Training scores a whole collection at once; inference one file at a time."""
    collection = read_collection(
        Path(tiny_job.collection.path or ""), None, lambda adapter: adapter
    )
    prepared = prepare(tiny_job.features, collection.adapters)
    supervision = find_supervision(collection, "auto")
    split = make_split(supervision, EvaluationSettings(), tiny_job.run.seed)
    assert split is not None
    basis = prepared.fit(split.train)
    model = bundle.models["lorajax-zoo-1"]
    everyone = np.arange(len(collection.members))
    together = model.encoder.embed(prepared.features(basis, split.train, everyone))
    alone = bundle.embed([member.path for member in collection.members])
    np.testing.assert_allclose(alone, together, atol=1e-5)


@settings(max_examples=8, deadline=None)
@given(chosen=st.sets(st.integers(0, 35), min_size=1, max_size=20))
def test_zero_modules_are_absent_modules(
    bundle: Bundle,
    tiny_job: JobSettings,
    tmp_path_factory: pytest.TempPathFactory,
    chosen: set[int],
) -> None:
    files = Path(tiny_job.collection.path or "").glob("*.safetensors")
    source = max(files, key=lambda path: len(load_file(path)))
    with safe_open(source, framework="numpy") as file:
        metadata = file.metadata()
    tensors = load_file(source)
    ups = sorted(name for name in tensors if name.endswith(".lora_up.weight"))
    modules = [ups[i].removesuffix(".lora_up.weight") for i in sorted(chosen)]
    absent = {k: v for k, v in tensors.items() if k.split(".")[0] not in modules}
    zero = dict(tensors)
    for module in modules:
        zero[f"{module}.lora_up.weight"] = np.zeros_like(
            tensors[f"{module}.lora_up.weight"]
        )
    folder = tmp_path_factory.mktemp("zero")
    save_file(absent, folder / "absent.safetensors", metadata)
    save_file(zero, folder / "zero.safetensors", metadata)
    a, b = bundle.embed([folder / "absent.safetensors", folder / "zero.safetensors"])
    np.testing.assert_allclose(a, b, atol=1e-6)
