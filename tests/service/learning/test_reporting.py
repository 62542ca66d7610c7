"""A report of really trained runs, read as a browser would."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lorajax.cli import app
from lorajax.config import JobSettings
from lorajax.errors import CheckpointError, LorajaxError
from lorajax.evaluation.judged import QUERIES, read_queries
from lorajax.service.learning.evaluating import evaluate
from lorajax.service.learning.reporting import report
from lorajax.service.learning.studies import study
from lorajax.service.learning.training import TrainingReport, train
from tests.conftest import CONFIGS, overrides
from tests.reporting.reading import Page, read

KEYS = (
    *("measured", "table", "experiments", "curves"),
    *("ablations", "layers", "map", "examples"),
)
HOSTILE = "<script>alert(1)</script>"


def page_of(path: Path, out: Path) -> Page:
    told = report(path, out)
    assert told == {"report": str(out), "bytes": out.stat().st_size}
    return read(out.read_text(encoding="utf-8"))


def map_data(found: Page) -> list[dict]:
    text = found.sections["map"]
    return json.loads(text[text.index('{"dots"') :])["dots"]


@pytest.fixture(scope="module")
def reported(
    tiny_run: TrainingReport, tmp_path_factory: pytest.TempPathFactory
) -> Page:
    return page_of(tiny_run.path, tmp_path_factory.mktemp("page") / "report.html")


def test_every_section_is_there(reported: Page, tiny_run: TrainingReport) -> None:
    assert tuple(reported.sections) == KEYS
    links = [a["href"] for a in reported.attributes["a"]]
    assert links == [f"#{key}" for key in KEYS]
    assert "24 of lorajax-zoo-1" in reported.sections["measured"]
    assert "layer_weights: mlp" in reported.sections["measured"]
    assert "Left out: nothing was measured of" in reported.sections["experiments"]
    assert "split 1" in str(reported.attributes["svg"][0])
    assert "unet" in reported.sections["layers"]
    held_out = tiny_run.results["held_out"]
    assert [dot["name"] for dot in map_data(reported)] == held_out
    assert all(dot["picture"] and dot["style"] for dot in map_data(reported))


def test_the_numbers_of_the_table_are_those_of_evaluate(
    reported: Page, tiny_run: TrainingReport
) -> None:
    head, *rows = reported.rows
    assert head[:2] == ["method", "triplet accuracy"]
    for row, expected in zip(rows, evaluate(tiny_run.path)["rows"], strict=False):
        means = [value["mean"] for value in expected.values() if value != row[0]]
        shown = [float(re.match(r"[\d.]+", cell)[0]) for cell in row[1:]]  # type: ignore
        assert row[0] == expected["method"]
        assert shown == [float(f"{mean:.3f}") for mean in means]


def test_the_examples_are_what_was_measured(
    reported: Page, tiny_run: TrainingReport
) -> None:
    judged = read_queries(tiny_run.path / "splits" / "0" / QUERIES)
    measured = judged["encoder trained"]["styles"]
    shown = re.search(r"is ([\d.]+) on average", reported.sections["examples"])
    assert shown and float(shown[1]) == pytest.approx(measured.mean("map@10"), abs=1e-3)
    names = [dot["name"] for dot in map_data(reported)]
    scores = dict(zip(names, measured.values["map@10"], strict=True))
    for name, score in scores.items():
        told = re.search(rf"AP@10 (\d\.\d\d){name}", reported.sections["examples"])
        assert told and float(told[1]) == pytest.approx(score, abs=0.006)
    assert "Worst" in reported.sections["examples"]


def test_nothing_comes_from_elsewhere(reported: Page) -> None:
    links = [
        (tag, name, value)
        for tag, found in reported.attributes.items()
        for attributes in found
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action", "data", "poster")
    ]
    assert any(name == "src" for _, name, _ in links)
    for _, _, value in links:
        assert value.startswith(("data:image/jpeg;base64,", "#"))
    assert "http" not in "".join(found["content"] for found in _metas(reported))
    assert reported.count["link"] == reported.count["iframe"] == 0


def _metas(found: Page) -> list[dict[str, str]]:
    return [meta for meta in found.attributes["meta"] if "content" in meta]


def test_one_run_has_one_page(tiny_run: TrainingReport, tmp_path: Path) -> None:
    files = sorted(path for path in tiny_run.path.rglob("*"))
    before = [path.stat().st_mtime_ns for path in files]
    pages = [tmp_path / "deep" / name for name in ("a.html", "b.html")]
    for page in pages:
        report(tiny_run.path, page)
    assert pages[0].read_bytes() == pages[1].read_bytes()
    assert sorted(path for path in tiny_run.path.rglob("*")) == files
    assert [path.stat().st_mtime_ns for path in files] == before


def test_names_from_files_stay_text(tiny_run: TrainingReport, tmp_path: Path) -> None:
    """Styles, supervision, methods and configuration of a run from a stranger."""
    run = tmp_path / f"{HOSTILE.replace('/', '')}"
    shutil.copytree(tiny_run.path, run)
    for file in (run / "results.json", *run.glob(f"splits/*/{QUERIES}")):
        document = json.loads(file.read_text(encoding="utf-8"))
        told = json.dumps(_poisoned(document))
        file.write_text(told, encoding="utf-8")
    config = (run / "config.yaml").read_text(encoding="utf-8")
    hostile = config.replace("tag_triplets: null", f"tag_triplets: '{HOSTILE}'")
    (run / "config.yaml").write_text(hostile, encoding="utf-8")
    found = page_of(run, tmp_path / "report.html")
    assert found.count["script"] == 2  # the data of the map, and the script
    assert HOSTILE in found.sections["measured"] and HOSTILE in found.sections["map"]
    assert any(HOSTILE in dot["style"] for dot in map_data(found))


def _poisoned(node: object) -> object:
    if isinstance(node, dict):
        return {
            key: [f"{HOSTILE}{style}" for style in value]
            if key == "styles" and isinstance(value, list)
            else f"{value} {HOSTILE}"
            if key == "supervision"
            else _poisoned(value)
            for key, value in node.items()
        }
    return node


def test_without_the_collection_its_sections_say_so(
    tiny_run: TrainingReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run.path, run)
    (run / "metrics.jsonl").unlink()
    config = (run / "config.yaml").read_text(encoding="utf-8")
    moved = re.sub(r"(collection:\n +path: ).*", rf"\1{tmp_path / 'gone'}", config)
    (run / "config.yaml").write_text(moved, encoding="utf-8")
    kept = page_of(run, tmp_path / "kept.html")  # features are in the cache
    assert len(map_data(kept)) == 6 and "6 have no preview" in kept.sections["map"]
    assert "no preview" in kept.sections["examples"] and kept.count["img"] == 0
    assert "Left out: nothing was trained" in kept.sections["curves"]
    monkeypatch.setenv("LORAJAX_CACHE", str(tmp_path / "cache"))
    gone = page_of(run, tmp_path / "gone.html")
    for key in ("layers", "map", "examples"):
        assert "Left out: " in gone.sections[key]
    assert "encoder trained" in gone.sections["table"]
    assert not (tmp_path / "cache" / "features").exists()


def test_without_its_configuration_a_run_is_refused(
    tiny_run: TrainingReport, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run.path, run)
    (run / "config.yaml").unlink()
    with pytest.raises(LorajaxError, match=r"config\.yaml: expected"):
        report(run, tmp_path / "report.html")


def test_a_cache_that_was_lost_changes_nothing(
    tiny_run: TrainingReport, reported: Page, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("LORAJAX_CACHE", str(tmp_path / "cache"))
    again = map_data(page_of(tiny_run.path, tmp_path / "report.html"))
    places = [[dot["at"] for dot in dots] for dots in (again, map_data(reported))]
    np.testing.assert_allclose(places[0], places[1], atol=1.0)


def test_a_run_that_was_not_trained(tiny_job: JobSettings, tmp_path: Path) -> None:
    alone = overrides(tiny_job, tmp_path, "collection.supervision=none")
    run = train(CONFIGS / "tiny.yaml", alone).path
    found = page_of(run, tmp_path / "report.html")
    assert "not trained" in found.sections["measured"]
    for key in ("table", "curves", "examples"):
        assert "Left out: " in found.sections[key]
    assert "lengths of what each module contributes" in found.sections["layers"]
    assert len(map_data(found)) == 24
    assert "No styles are known" in found.sections["map"]


def test_a_study_of_two_runs(tiny_job: JobSettings, tmp_path: Path) -> None:
    tiny = CONFIGS / "tiny.yaml"
    other = tmp_path / "no-mlp.yaml"
    shutil.copyfile(tiny, other)
    plain = "encoder:\n  layer_weights: mean\n"
    text = other.read_text(encoding="utf-8").replace("encoder:\n", plain)
    other.write_text(text, encoding="utf-8")
    out = tmp_path / "study"
    small = [f"collection.path={tiny_job.collection.path}", "training.steps=4"]
    study([tiny, other], 2, out, small)
    found = page_of(out, tmp_path / "report.html")
    assert tuple(found.sections) == KEYS
    rows = [row["method"] for row in evaluate(out)["rows"]]
    assert [row[0] for row in found.rows[1 : len(rows) + 1]] == rows
    assert "against tiny" in found.sections["ablations"]
    assert "tiny: learned layer weights" in found.sections["layers"]
    assert "no-mlp: no learned layer weights" in found.sections["layers"]
    told = report(out, tmp_path / "other.html", against="no-mlp", run="no-mlp")
    again = read(Path(told["report"]).read_text(encoding="utf-8"))
    assert "against no-mlp" in again.sections["ablations"]
    assert "(no-mlp)" in again.sections["map"]
    with pytest.raises(CheckpointError, match="expected one of its runs, found 'x'"):
        report(out, tmp_path / "x.html", run="x")


def test_refusals_are_one_line(tiny_run: TrainingReport, tmp_path: Path) -> None:
    runner = CliRunner()
    for words in (
        [str(tmp_path), "--out", str(tmp_path / "a.html")],
        [str(tiny_run.path), "--out", str(tmp_path)],
        [str(tiny_run.path), "--against", "nobody"],
    ):
        result = runner.invoke(app, ["report", *words])
        assert result.exit_code == 1 and not result.stdout
        assert not list(tmp_path.iterdir())
    missing = runner.invoke(app, ["report"])
    assert missing.exit_code == 2


def test_the_command_prints_one_document(
    tiny_run: TrainingReport, tmp_path: Path
) -> None:
    out = tmp_path / "report.html"
    words = ["report", str(tiny_run.path), "--out", str(out), "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told == {"report": str(out), "bytes": out.stat().st_size}
    assert told["bytes"] < 2**20
