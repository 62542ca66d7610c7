"""The report: controls equal their definitions, on the written truth, and pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lorajax.adapters.adapter import read_adapter
from lorajax.adapters.interface import Update
from lorajax.adapters.low_rank import LowRankUpdate
from lorajax.cli import app
from lorajax.dataset.label_files import read_triplets
from lorajax.errors import ZooError
from lorajax.evaluation.controls import kernels
from lorajax.zoo.benchmark import controls
from lorajax.zoo.benchmark.controls import control_similarities
from lorajax.zoo.benchmark.report import CONTROLS, report
from lorajax.zoo.benchmark.truth import read_listed, write_truth_files
from lorajax.zoo.sheets.style_sheet import style_sheet
from tests.conftest import adapter_of
from tests.zoo.pictured import EACH, STYLES, pictured


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = pictured(tmp_path_factory.mktemp("zoo"))
    write_truth_files(folder)
    return folder


@pytest.fixture(scope="module")
def facts(folder: Path) -> dict:
    return report(folder)


def cosine(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> float:
    def inner(x: dict, y: dict) -> float:
        return sum(float(np.sum(x[m] * y[m])) for m in x.keys() & y.keys())

    length = np.sqrt(inner(a, a) * inner(b, b))
    return inner(a, b) / length if length else 0.0


def test_controls_equal_their_definitions(folder: Path) -> None:
    files = read_listed(folder).files[:6]
    found = control_similarities(files)
    updates = [read_adapter(file).updates for file in files]
    dense = [{m: u.dense() for m, u in own.items()} for own in updates]
    views = {
        "raw_delta_cosine": dense,
        "norm_only": [{m: np.linalg.norm(d) for m, d in own.items()} for own in dense],
        "spectrum_only": [
            {m: np.linalg.svd(d, compute_uv=False) for m, d in own.items()}
            for own in dense
        ],
        "down_only": [
            {m: u.down for m, u in own.items() if isinstance(u, LowRankUpdate)}
            for own in updates
        ],
    }
    for name, own in views.items():
        expected = [[cosine(a, b) for b in own] for a in own]
        np.testing.assert_allclose(found[name], expected, atol=1e-5)


def test_memory_may_be_short(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = read_listed(folder).files[:5]
    whole = control_similarities(files)
    monkeypatch.setattr(kernels, "STACKED", 5 * 64 * 3)
    parts = control_similarities(files)
    for name in whole:
        np.testing.assert_allclose(whole[name], parts[name], atol=1e-5)


def test_ranks_differ_and_modules_are_absent(tmp_path: Path) -> None:
    class NoDown(Update):
        """An update without factors, as another family would be."""

        @property
        def shape(self) -> tuple[int, int]:
            return 4, 3

        def squared_norm(self) -> float:
            return 12.0

        def matmul(self, x: np.ndarray) -> np.ndarray:
            return self.dense() @ x

        def rmatmul(self, x: np.ndarray) -> np.ndarray:
            return self.dense().T @ x

        def rows(self, start: int, stop: int) -> Update:
            raise NotImplementedError

        def factors(self) -> None:
            return None

        def dense(self) -> np.ndarray:
            return np.ones((4, 3), np.float32)

    rng = np.random.default_rng(0)
    one, two = (
        LowRankUpdate(rng.normal(size=(4, r)), rng.normal(size=(r, 3)), 0.5)
        for r in (1, 2)
    )
    read = {"a": {"m": one}, "b": {"m": two, "n": one}, "c": {"m": NoDown()}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            controls, "read_adapter", lambda path: adapter_of(read[path.name])
        )
        found = control_similarities([Path(name) for name in read])
    down = found["down_only"]
    assert np.allclose(np.diag(down), [1, 1, 0]) and not down[2].any()
    longer = np.concatenate([two.down.ravel(), one.down.ravel()])
    shared = one.down.ravel() @ two.down[0] / np.linalg.norm(one.down)
    assert down[0, 1] == pytest.approx(shared / np.linalg.norm(longer), abs=1e-5)
    assert found["norm_only"][0, 2] == pytest.approx(1.0)
    for name in ("norm_only", "spectrum_only", "raw_delta_cosine"):
        np.testing.assert_allclose(np.diag(found[name]), 1, atol=1e-5)


def test_the_report_counts_and_measures(folder: Path, facts: dict) -> None:
    assert facts["n_loras"] == STYLES * EACH and facts["n_styles"] == STYLES
    assert facts["n_test_loras"] == 2 * EACH and facts["n_test_styles"] == 2
    path = folder / "truth" / "triplets_behaviour_test.jsonl"
    assert facts["n_triplets"]["behaviour"] == path.read_text().count("\n")
    assert 0 < facts["split_half"]["noise"] < 0.3
    assert facts["split_half"]["correlation"] > 0.8
    for table in (*facts["triplet_accuracy"].values(), facts["style_map_at_10"]):
        assert tuple(table) == CONTROLS
        assert all(0 <= value <= 1 for value in table.values())
    by_behaviour = facts["triplet_accuracy"]["behaviour"]
    assert by_behaviour["image_oracle"] > 0.95
    assert (
        by_behaviour["raw_delta_cosine"] > 0.9
    )  # ΔW of the fixture leans to its style
    json.dumps(facts, allow_nan=False)


def test_accuracy_is_on_the_committed_triplets(folder: Path, facts: dict) -> None:
    listed = read_listed(folder)
    ids = (folder / "truth" / "test_ids.txt").read_text().splitlines()
    files = [listed.files[listed.names.index(name)] for name in ids]
    raw = control_similarities(files)["raw_delta_cosine"]
    places = {name: i for i, name in enumerate(ids)}
    path = folder / "truth" / "triplets_tags_test.jsonl"
    a, p, n = read_triplets(path, places).T
    expected = np.mean(raw[a, p] > raw[a, n])
    measured = facts["triplet_accuracy"]["tags"]["raw_delta_cosine"]
    assert measured == pytest.approx(expected, abs=1e-4)


def test_the_sheet_begins_with_the_base_model(folder: Path) -> None:
    page = style_sheet(folder, styles=4, captions=3)
    small = style_sheet(folder, styles=2, captions=3)
    assert page.width == small.width and page.height > small.height
    with Image.open(folder / "behaviour" / "_base.png") as base:
        first = np.asarray(base)[:, :32].repeat(2, 0).repeat(2, 1)
    pixels = np.asarray(page)
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (64, 64, 3))[
        ..., 0, :, :, :
    ]
    found = np.argwhere((windows == first).all((-1, -2, -3)))
    assert len(found) == 1  # base, first caption: once, above the styles
    assert found[0][0] < 100


def test_without_pictures_there_is_no_oracle_and_no_sheet(tmp_path: Path) -> None:
    folder = pictured(tmp_path, pictures=False)
    write_truth_files(folder)
    facts = report(folder)
    assert facts["triplet_accuracy"]["tags"]["image_oracle"] is None
    assert set(facts["triplet_accuracy"]["behaviour"].values()) == {None}
    assert facts["split_half"] == {"noise": None, "correlation": None}
    with pytest.raises(ZooError, match="expected pictures in behaviour"):
        style_sheet(folder)
    result = CliRunner().invoke(app, ["zoo", "report", str(folder), "--json"])
    assert result.exit_code == 0 and json.loads(result.stdout)["sheet"] is None


def test_the_command_prints_a_table_and_writes_the_sheet(
    folder: Path, facts: dict, tmp_path: Path
) -> None:
    result = CliRunner().invoke(app, ["zoo", "report", str(folder)])
    assert result.exit_code == 0, result.output
    assert all(name in result.stdout for name in CONTROLS)
    with Image.open(folder / "sheet.png") as page:
        assert page.width > 300
    elsewhere = str(tmp_path / "other.png")
    words = ["zoo", "report", str(folder), "--json", "--sheet", elsewhere]
    result = CliRunner().invoke(app, words)
    assert json.loads(result.stdout) == facts | {"sheet": elsewhere}
    assert Path(elsewhere).is_file()


def test_a_collection_without_truth_says_what_to_do(tmp_path: Path) -> None:
    pictured(tmp_path)
    with pytest.raises(ZooError, match=r"test_ids\.txt: expected names") as error:
        report(tmp_path)
    assert "lorajax zoo build" in error.value.hint
    result = CliRunner().invoke(app, ["zoo", "report", str(tmp_path / "absent")])
    assert result.exit_code == 1 and "expected the truth" in result.output
