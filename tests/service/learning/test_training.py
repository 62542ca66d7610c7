"""The main job on really trained LoRAs, from a folder to a bundle."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

import lorajax
from lorajax.adapters.adapter import read_adapter
from lorajax.cli.training import print_results
from lorajax.config import JobSettings
from lorajax.errors import CheckpointError, DatasetError
from lorajax.export.model import load_model
from lorajax.formats.scan import scan
from lorajax.service.commands import place_of_commands
from lorajax.service.learning.evaluating import evaluate
from lorajax.service.learning.exporting import export
from lorajax.service.learning.runs import read_run, resume_run
from lorajax.service.learning.training import TrainingReport, train
from lorajax.service.progress import Progress
from lorajax.training.fit import Stopped
from lorajax.training.run_dir import read_metrics, read_status
from tests.conftest import CONFIGS, overrides
from tests.pictures.onnx_models import write_encoder

TINY = CONFIGS / "tiny.yaml"
METHODS = ["unlearned features", "encoder at initialisation", "encoder trained"]


def test_a_run_leaves_all_that_it_promises(tiny_run: TrainingReport) -> None:
    path = tiny_run.path
    status = read_status(path)
    assert status is not None and status.state == "finished"
    assert (status.step, status.total) == (40, 40)
    resolved = yaml.safe_load((path / "config.yaml").read_text(encoding="utf-8"))
    assert resolved["features"]["components"] == 16
    assert resolved["run"]["name"] == "tiny"
    kinds = [line["kind"] for line, _ in read_metrics(path)]
    assert kinds.count("train") == 40 and kinds.count("evaluation") == 2
    for name in ("basis.safetensors", "encoder.safetensors", "results.json"):
        assert (path / name).stat().st_size > 0
    assert any((path / "splits" / "0" / "states").iterdir())


def test_results_compare_three_methods_on_unseen_styles(
    tiny_run: TrainingReport,
) -> None:
    results = evaluate(tiny_run.path)
    assert results["trained"] and results["split"] == "unseen styles"
    assert results["splits"] == 2 and results["n_loras"] == 24
    assert [row["method"] for row in results["rows"]] == METHODS
    for row in results["rows"]:
        for metric in ("triplet_accuracy", "map@10", "mrr", "ndcg@10"):
            assert 0.0 <= row[metric]["mean"] <= 1.0
            assert row[metric]["std"] >= 0.0


def test_a_run_says_what_its_stars_are_against(
    tiny_run: TrainingReport, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tiny_run.results["against"] == "unlearned features"
    print_results(tiny_run.path, tiny_run.results, ())
    assert "* differs from 'unlearned features'" in capsys.readouterr().err


def test_components_are_bounded_by_the_training_loras(tiny_run: TrainingReport) -> None:
    basis = load_model(tiny_run.path).basis
    fitted = basis.facts.fitted_on
    assert max(fitted) == 12  # 4 of 8 styles with 3 LoRAs each
    for count, members in zip(basis.components, fitted, strict=True):
        assert count <= min(16, members - 1)


def test_a_bundle_gives_the_vectors_of_training(
    tiny_run: TrainingReport, tiny_job: JobSettings, tmp_path: Path
) -> None:
    bundle = lorajax.load(export(tiny_run.path, tmp_path / "bundle"))
    files = scan([tiny_job.collection.path or ""]).files
    model = load_model(tiny_run.path)
    expected = [model.embed(read_adapter(path)) for path in files]
    np.testing.assert_allclose(bundle.embed(files), expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1.0, atol=1e-5)
    card = (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    assert "lorajax-zoo-1" in card and "encoder trained" in card


def test_one_seed_one_result_and_features_are_computed_once(
    tiny_run: TrainingReport,
    tiny_job: JobSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second run takes bases and features from the caches."""
    for done_before in ("basis.Basis.transform", "sketch_pca.SketchPCA._learn"):
        monkeypatch.setattr(f"lorajax.projection.{done_before}", pytest.fail)
    again = train(TINY, overrides(tiny_job, tmp_path))
    assert again.results["rows"] == tiny_run.results["rows"]
    assert load_model(again.path).space == load_model(tiny_run.path).space


def test_a_stopped_run_is_resumed_to_the_same_end(
    tiny_run: TrainingReport, tiny_job: JobSettings, tmp_path: Path
) -> None:
    run = tmp_path / "tiny"

    def stop_in_the_middle(progress: Progress) -> None:
        if progress.stage == "training" and progress.done == 27:
            (run / "stop").touch()

    with pytest.raises(Stopped, match="stopped at step 7 of 20") as stopped:
        train(TINY, overrides(tiny_job, tmp_path), stop_in_the_middle)
    goes_on = f"lorajax train {run / 'config.yaml'} run.resume=true"
    assert stopped.value.hint == f"continue with: {place_of_commands()}{goes_on}"
    status = read_status(run)
    assert status is not None and status.state == "stopped"
    steps: list[int] = []

    def note_steps(progress: Progress) -> None:
        if progress.stage == "training":
            steps.append(progress.done)

    report = train(run / "config.yaml", ["run.resume=true"], note_steps)
    assert steps == list(range(28, 41))
    assert report.results["rows"] == tiny_run.results["rows"]


def test_a_killed_run_goes_on_to_the_same_weights(
    tiny_run: TrainingReport, tiny_job: JobSettings, tmp_path: Path
) -> None:
    """What a SIGKILL took is done again, bit for bit."""
    run = tmp_path / "tiny"
    changes = [*overrides(tiny_job, tmp_path), "training.checkpoint_every=4"]
    command = [sys.executable, "-m", "lorajax.train", str(TINY), *changes]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    metrics = run / "metrics.jsonl"
    until = time.monotonic() + 120
    while not (metrics.exists() and '"step": 6,' in metrics.read_text("utf-8")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (run / "encoder.safetensors").exists()
    report = train(run / "config.yaml", ["run.resume=true"])
    assert report.results["rows"] == tiny_run.results["rows"]
    for name in ("encoder.safetensors", "basis.safetensors"):
        killed, whole = (load_file(path / name) for path in (run, tiny_run.path))
        assert killed.keys() == whole.keys()
        for tensor in whole:
            np.testing.assert_array_equal(killed[tensor], whole[tensor])


def test_a_run_that_was_moved_is_continued_in_its_new_place(
    tiny_job: JobSettings, tmp_path: Path
) -> None:
    """As the application does it, with a run that a command began."""
    changes = overrides(tiny_job, Path("checkpoints"))
    command = [sys.executable, "-m", "lorajax.train", str(TINY), *changes]
    begun = tmp_path / "checkpoints" / "tiny"
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not (begun / "metrics.jsonl").exists():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    (begun / "stop").touch()
    process.wait()
    assert read_run(begun).state == "stopped"
    run = (tmp_path / "checkpoints").rename(tmp_path / "moved") / "tiny"
    resume_run(run)
    until = time.monotonic() + 120
    while (found := read_run(run)).is_active or found.state == "starting":
        assert time.monotonic() < until
        time.sleep(0.1)
    assert found.state == "finished", found.status


def test_a_finished_run_is_not_run_again(
    tiny_run: TrainingReport, tiny_job: JobSettings
) -> None:
    more = ["run.name=tiny", "run.resume=true"]
    again = train(TINY, overrides(tiny_job, tiny_run.path.parent, *more))
    assert again.results == tiny_run.results
    with pytest.raises(CheckpointError, match=r"its configuration differs"):
        other = [*more, "training.margin=0.5"]
        train(TINY, overrides(tiny_job, tiny_run.path.parent, *other))
    with pytest.raises(CheckpointError, match=r"there is a run of this name already"):
        train(TINY, overrides(tiny_job, tiny_run.path.parent, "run.name=tiny"))


def test_without_supervision_nothing_is_trained(
    tiny_job: JobSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = train(TINY, overrides(tiny_job, tmp_path, "collection.supervision=none"))
    results: dict[str, Any] = report.results
    assert results["trained"] is False and results["rows"] == []
    assert "not trained" in results["evaluation_note"]
    print_results(report.path, results, report.notes)
    said = capsys.readouterr()
    assert " ".join((said.out + said.err).split()).count("not trained") == 1
    model = load_model(report.path)
    assert model.encoder.settings.layers == 0
    assert not (report.path / "splits").exists()


def test_own_folders_are_labels_when_there_are_no_tags(
    tiny_job: JobSettings, tmp_path: Path
) -> None:
    """The same LoRAs sorted into a folder per style."""
    source = Path(tiny_job.collection.path or "")
    truth = json.loads((source / "zoo.json").read_text(encoding="utf-8"))["loras"]
    for lora in truth:
        style = tmp_path / "own" / lora["style"]
        style.mkdir(parents=True, exist_ok=True)
        if lora["dialect"] == "kohya":
            shutil.copy(source / lora["file"], style)
        else:
            folder = Path(lora["file"]).parent
            shutil.copytree(source / folder, style / folder.name)
    places = [f"collection.path={tmp_path / 'own'}", f"run.root={tmp_path / 'runs'}"]
    kind = "collection.supervision=folders"
    report = train(TINY, [*places, kind, "training.steps=2"])
    assert report.results["supervision"] == "folders – folder names, 8 styles"


@pytest.mark.parametrize("projection", ["sketch_pca", "incremental_pca"])
def test_other_projections_walk_the_same_road(
    tiny_job: JobSettings, tmp_path: Path, projection: str
) -> None:
    changes = [f"features.projection={projection}", "evaluation.splits=1"]
    report = train(TINY, overrides(tiny_job, tmp_path, *changes, "training.steps=2"))
    assert report.results["rows"][0]["triplet_accuracy"]["mean"] > 0.5


@pytest.mark.slow
def test_loras_at_half_their_rank_can_be_learned_from(
    tiny_run: TrainingReport,
    tiny_job: JobSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twice the same, though the second run takes them from the cache."""
    monkeypatch.setenv("LORAJAX_CACHE", str(tmp_path / "cache"))
    changes = ["evaluation.splits=1", "training.steps=2", "training.truncation=1.0"]
    stages: list[str] = []

    def losses(path: Path) -> list[float]:
        lines = [line for line, _ in read_metrics(path)]
        return [line["loss"] for line in lines if line["kind"] == "train"]

    def learned(name: str) -> list[float]:
        given = overrides(tiny_job, tmp_path, *changes, f"run.name={name}")
        return losses(train(TINY, given, lambda now: stages.append(now.stage)).path)

    first = learned("first")
    assert stages.index("truncated features") < stages.index("training")
    # Nothing was learned yet at step 1: only what is seen differs.
    assert first[0] != losses(tiny_run.path)[0]
    monkeypatch.setattr("lorajax.service.learning.job.truncated", pytest.fail)
    assert learned("second") == first


def test_an_image_encoder_of_ones_own_teaches(
    tiny_job: JobSettings, tmp_path: Path
) -> None:
    file = write_encoder(tmp_path / "tiny #1.onnx", ("n", 3, 16, 16))
    changes = [f"collection.image_encoder={file}", "collection.supervision=behaviour"]
    changes += ["evaluation.splits=1", "training.metric_learning=false"]
    report = train(TINY, overrides(tiny_job, tmp_path, *changes))
    assert "24 of 24 LoRAs by tiny #1.onnx" in report.results["supervision"]


def test_a_folder_with_too_little_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    places = [f"collection.path={empty}", f"run.root={tmp_path / 'runs'}"]
    with pytest.raises(DatasetError, match="expected at least 8 LoRAs of one base"):
        train(TINY, places)
    assert not any((tmp_path / "runs").iterdir())  # the name is free again
    with pytest.raises(DatasetError):
        train(TINY, [*places, "run.name=mine"])
    status = read_status(tmp_path / "runs" / "mine")
    assert status is not None and status.state == "failed"
    absent = f"collection.path={tmp_path / 'absent'}"
    with pytest.raises(DatasetError, match="expected a folder of LoRA files"):
        train(TINY, [absent, f"run.root={tmp_path / 'more'}"])


def test_an_unwritable_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(CheckpointError, match="cannot be written"):
        train(TINY, [f"run.root={tmp_path / 'file'}"])
