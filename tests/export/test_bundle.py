"""Bundles that are damaged, mixed up or of another time."""

import json
import shutil
from pathlib import Path

import pytest

import lorajax
from lorajax.config import JobSettings
from lorajax.errors import CheckpointError
from lorajax.service.evaluating import export
from lorajax.service.training import TrainingReport, train
from tests.conftest import CONFIGS, overrides

BASE = "bases/lorajax-zoo-1"


@pytest.fixture
def bundle(tiny_run: TrainingReport, tmp_path: Path) -> Path:
    return export(tiny_run.path, tmp_path / "bundle")


def test_contents(bundle: Path) -> None:
    document = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
    assert list(document["bases"]) == ["lorajax-zoo-1"]
    files = {p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()}
    model = {f"{BASE}/basis.safetensors", f"{BASE}/encoder.safetensors"}
    assert files == {"config.json", "README.md"} | model


def test_another_version_and_nothing_at_all(bundle: Path, tmp_path: Path) -> None:
    file = bundle / "config.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**document, "lorajax_bundle": "9"}), encoding="utf-8")
    with pytest.raises(
        CheckpointError, match="expected a bundle of version 1, found 9"
    ):
        lorajax.load(bundle)
    with pytest.raises(CheckpointError, match=r"expected a bundle with a config\.json"):
        lorajax.load(tmp_path / "nothing")


def test_basis_and_encoder_of_two_runs_name_both_hashes(
    bundle: Path, tiny_job: JobSettings, tiny_run: TrainingReport, tmp_path: Path
) -> None:
    changes = ["features.components=8", "training.metric_learning=false"]
    other = train(CONFIGS / "tiny.yaml", overrides(tiny_job, tmp_path, *changes))
    wanted = lorajax.load(bundle).models["lorajax-zoo-1"].basis.hash()
    shutil.copyfile(
        other.path / "basis.safetensors", bundle / BASE / "basis.safetensors"
    )
    with pytest.raises(CheckpointError) as error:
        lorajax.load(bundle)
    assert f"the encoder belongs to basis {wanted}, found basis" in error.value.message


def test_only_finished_runs_and_empty_places(
    tiny_run: TrainingReport, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="expected a finished run"):
        export(tmp_path, tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "novel.txt").write_text("dear reader", encoding="utf-8")
    with pytest.raises(CheckpointError, match="found other files"):
        export(tiny_run.path, tmp_path / "full")


def test_a_lora_of_another_base_is_refused_by_name(bundle: Path) -> None:
    real = Path(__file__).parents[1] / "data" / "real"
    stranger = next(real.rglob("*.safetensors"))
    with pytest.raises(
        CheckpointError, match="embeds lorajax-zoo-1, found a LoRA of sd1"
    ):
        lorajax.load(bundle).embed([stranger])
