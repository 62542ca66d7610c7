"""`lorajax export` as a person or a script runs it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from typer.testing import CliRunner

from lorajax.cli import app
from lorajax.export.model import load_model, save_model
from lorajax.service.learning.training import TrainingReport

runner = CliRunner()


def test_graphs_and_force(tiny_run: TrainingReport, tmp_path: Path) -> None:
    folder, other = tmp_path / "bundle", tmp_path / "other"
    words = ["export", str(tiny_run.path), str(folder), "--graph", "onnx", "--json"]
    told = runner.invoke(app, words)
    assert json.loads(told.stdout) == {"bundle": str(folder)}
    place = folder / "bases" / "lorajax-zoo-1"
    assert {path.name for path in place.iterdir()} == {
        *("basis.safetensors", "encoder.safetensors", "encoder.onnx", "features.json")
    }
    shutil.copytree(tiny_run.path, other)
    model = load_model(tiny_run.path)
    params = {name: 2 * array for name, array in model.encoder.params.items()}
    save_model(replace(model, encoder=replace(model.encoder, params=params)), other)
    refused = runner.invoke(app, ["export", str(other), str(folder)])
    assert refused.exit_code == 1 and "--force" in refused.output
    replaced = runner.invoke(app, ["export", str(other), str(folder), "--force"])
    assert replaced.exit_code == 0, replaced.output
    assert not (place / "encoder.onnx").exists()  # it was the former model's
    assert runner.invoke(app, [*words[:3], "--graph", "torch"]).exit_code == 2
