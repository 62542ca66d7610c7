"""Bundles that are damaged, mixed up or of another time."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import lorajax
from lorajax.config import JobSettings
from lorajax.errors import CheckpointError
from lorajax.service.learning.exporting import export
from lorajax.service.learning.training import TrainingReport, train
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


def rewrite(file: Path, metadata: dict, arrays: dict[str, np.ndarray | None]) -> None:
    """Changes entries of a file of safetensors; None takes one out."""
    with safe_open(file, framework="numpy") as old:
        words = {**old.metadata(), **metadata}
        tensors = {name: old.get_tensor(name) for name in old.keys()}  # noqa: SIM118
    tensors = {k: a for k, a in {**tensors, **arrays}.items() if a is not None}
    words = {key: word for key, word in words.items() if word is not None}
    save_file(tensors, file, metadata=words)


DEEP = "[" * 9000
HOSTILE = [
    *(
        ("encoder", {"settings": text}, {})
        for text in (None, "{}x", DEEP, '{"width":0}')
    ),
    *(("encoder", {"sizes": text}, {}) for text in (None, "[1]", "[0,2]", "3", DEEP)),
    ("encoder", {"hash": None}, {}),
    ("encoder", {}, {"lengths": None}),
    ("encoder", {}, {"params.stranger": np.ones(3, "f4")}),
    ("encoder", {}, {"params.stranger.": np.ones((), "f4")}),
    ("encoder", {}, {"lengths": np.full(2, np.nan, "f4")}),
    *(("basis", {"facts": text}, {}) for text in (None, "[]", "{}", DEEP, "null")),
    ("basis", {"hash": None}, {}),
    ("basis", {}, {"64x64.mean": None}),
    ("basis", {}, {"64x64.components": np.ones((2, 3, 1), "f2")}),
    ("basis", {}, {"64x64.left": np.full((1, 64, 16), np.inf, "f2")}),
    ("basis", {}, {"counts": np.array([2**40])}),
    ("basis", {}, {"shapes": np.array([[-64, 64]])}),
]


def test_hostile_files_are_refused(bundle: Path) -> None:
    for part, metadata, arrays in HOSTILE:
        file = bundle / BASE / f"{part}.safetensors"
        before = file.read_bytes()
        rewrite(file, metadata, arrays)
        with pytest.raises(CheckpointError, match=file.name):
            lorajax.load(bundle)
        file.write_bytes(before)
    lorajax.load(bundle)


@pytest.mark.parametrize(
    "bases",
    [{}, [], None, {"../../x": {}}, {"sd1": {}}, {"lorajax-zoo-1": 3}, "lorajax-zoo-1"],
    ids=range(7),
)
def test_hostile_configurations_are_refused(bundle: Path, bases: object) -> None:
    shutil.copytree(bundle / BASE, bundle / "bases" / "sd1")
    text = json.dumps({"lorajax_bundle": "1", "bases": bases})
    (bundle / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError):
        lorajax.load(bundle)
    (bundle / "config.json").write_text(DEEP, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"config\.json"):
        lorajax.load(bundle)


def test_one_path_no_path_and_a_short_name(bundle: Path, tiny_job: JobSettings) -> None:
    loaded = lorajax.load(bundle)
    width = loaded.models["lorajax-zoo-1"].encoder.settings.width
    assert repr(loaded) == f"Bundle({str(bundle)!r}, lorajax-zoo-1: {width})"
    path = next(Path(str(tiny_job.collection.path)).rglob("*.safetensors"))
    np.testing.assert_array_equal(loaded.embed(str(path)), loaded.embed([path]))
    assert loaded.embed(path).shape == (1, width)
    assert loaded.embed([]).shape == (0, width)
