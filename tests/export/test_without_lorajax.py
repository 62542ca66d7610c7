"""The example of the documentation: a bundle used without the package."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lorajax
from lorajax.config import JobSettings
from lorajax.formats.scan import scan
from lorajax.service.learning.exporting import export
from lorajax.service.learning.training import TrainingReport

SCRIPT = Path(__file__).parents[2] / "docs/examples/embed_without_lorajax.py"


@pytest.fixture(scope="module")
def bundle(tiny_run: TrainingReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("without") / "bundle"
    return export(tiny_run.path, folder, "both")


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("embed_without_lorajax", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("graph", ["onnx", "jax"])
def test_it_gives_the_same_vectors(
    bundle: Path, example: Any, tiny_job: JobSettings, tmp_path: Path, graph: str
) -> None:
    """Of all files of a collection, in both namings that it is written in."""
    paths = scan([tiny_job.collection.path or ""]).files
    assert {path.name == "adapter_model.safetensors" for path in paths} == {True, False}
    place = tmp_path / "lorajax-zoo-1"
    left_out = "encoder.jax" if graph == "onnx" else "encoder.onnx"
    ignored = shutil.ignore_patterns(left_out)
    shutil.copytree(bundle / "bases/lorajax-zoo-1", place, ignore=ignored)
    expected = lorajax.load(bundle).embed(paths)
    found = example.embed(place, paths)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(found[0] - found[-1]).max() > 0.01


def test_as_a_script_it_imports_nothing_of_ours(
    bundle: Path, tiny_job: JobSettings
) -> None:
    paths = scan([tiny_job.collection.path or ""]).files[:2]
    code = (
        f"import runpy, sys; sys.argv = ['x', {str(bundle / 'bases/lorajax-zoo-1')!r},"
        f" *{list(map(str, paths))!r}];"
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__');"
        "assert not {'lorajax', 'flax', 'jax'} & set(sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("cosines:\n[[1. ")
