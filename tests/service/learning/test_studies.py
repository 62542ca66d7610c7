"""Studies: configurations on the same splits, and the tables that come of them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lorajax.config import JobSettings
from lorajax.errors import CheckpointError, ConfigError
from lorajax.formats.scan import scan
from lorajax.service.learning.evaluating import evaluate
from lorajax.service.learning.studies import study
from tests.conftest import CONFIGS

TINY = CONFIGS / "tiny.yaml"


@pytest.fixture(scope="module")
def world(
    tiny_job: JobSettings, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Two configurations on the tiny collection with a fixed test."""
    folder = tmp_path_factory.mktemp("study")
    loras = sorted(scan([tiny_job.collection.path or ""]).files)
    listed = json.loads((Path(tiny_job.collection.path or "") / "zoo.json").read_text())
    styles = {row["name"]: row["style"] for row in listed["loras"]}
    names = sorted(styles)
    tested = sorted(set(styles.values()))[:2]
    test = [name for name in names if styles[name] in tested]
    a, b = ([n for n in test if styles[n] == style] for style in tested)
    (folder / "ids.txt").write_text("\n".join(test))
    triplets = [
        {"anchor": x, "positive": y, "negative": z}
        for own, other in ((a, b), (b, a))
        for x in own
        for y in own
        for z in other
        if x != y
    ]
    (folder / "tags.jsonl").write_text("\n".join(map(json.dumps, triplets)))
    rows = [f"{a[0]},{name},{rank}" for rank, name in enumerate([a[1], b[0], a[2]], 1)]
    (folder / "ranks.csv").write_text("\n".join(["query_id,lora_id,rank", *rows]))
    (folder / "learned.yaml").write_text(
        f"extends: {TINY}\nevaluation: {{dimensions: [4, 8]}}\n"
    )
    (folder / "untrained.yaml").write_text(
        f"extends: {TINY}\n"
        "training: {metric_learning: false}\n"
        "evaluation: {controls: true, dimensions: [4]}\n"
    )
    changes = [
        f"collection.path={tiny_job.collection.path}",
        f"evaluation.test_ids={folder / 'ids.txt'}",
        f"evaluation.tag_triplets={folder / 'tags.jsonl'}",
        f"evaluation.rankings={folder / 'ranks.csv'}",
        "collection.supervision=tags",
        "evaluation.teacher=behaviour",
        "training.steps=4",
    ]
    configs = [folder / "learned.yaml", folder / "untrained.yaml"]
    out = folder / "out"
    found = study(configs, 2, out, changes)
    return {"out": out, "configs": configs, "changes": changes, "found": found} | {
        "test": test,
        "count": len(loras),
    }


def test_its_methods_stand_side_by_side(world: dict[str, Any]) -> None:
    assert world["found"]["runs"] == ["learned", "untrained"]
    document = evaluate(world["out"])
    methods = [row["method"] for row in document["rows"]]
    assert methods[:2] == ["learned: unlearned features", "learned"]
    assert {"untrained", "learned, 4 dimensions", "raw_delta_cosine"} <= set(methods)
    assert "untrained, 4 dimensions" not in methods
    assert [m for m in methods if "unlearned" in m] == [methods[0]]
    assert document["n_queries"] == len(world["test"]) and document["seeds"] == 2
    rows = {row["method"]: row for row in document["rows"]}
    assert rows["learned"]["map@10"]["p_value"] is None
    assert rows["untrained"]["map@10"]["p_value"] is not None
    assert rows["random"]["triplet_accuracy"]["mean"] < 1.0


def test_the_means_of_every_run_and_seed_are_kept(world: dict[str, Any]) -> None:
    kept = {
        name: json.loads((world["out"] / "results" / f"{name}.json").read_text())
        for name in world["found"]["runs"]
    }
    rows = {row["method"]: row for row in evaluate(world["out"])["rows"]}
    for name, document in kept.items():
        assert len(document["seeds"]) == 2 and document["seconds"] > 0
        own = [
            seed["styles"]["encoder trained"]["map@10"] for seed in document["seeds"]
        ]
        assert sum(own) / 2 == pytest.approx(rows[name]["map@10"]["mean"], abs=1e-4)
        assert set(document["seeds"][0]) == {"styles", "tags", "ranking"}


def test_the_experiments_of_the_paper(world: dict[str, Any]) -> None:
    tags = evaluate(world["out"], 1)
    assert (tags["experiment"], tags["truth"]) == (1, "triplets by tags")
    assert set(tags["rows"][0]) == {"method", "triplet_accuracy", "triplet_loss"}
    ranking = evaluate(world["out"], 3, against="raw_delta_cosine")
    rows = {row["method"]: row for row in ranking["rows"]}
    assert 0 < rows["learned"]["ndcg@10"]["mean"] <= 1
    assert rows["raw_delta_cosine"]["ndcg@10"]["p_value"] is None
    with pytest.raises(CheckpointError, match="nothing was measured of triplets by ra"):
        evaluate(world["out"], 2)
    with pytest.raises(CheckpointError, match="to compare with, found 'nobody'"):
        evaluate(world["out"], against="nobody")


def test_a_run_is_told_by_itself_too(world: dict[str, Any]) -> None:
    document = evaluate(world["out"] / "learned", 1)
    assert document["against"] == "unlearned features"
    assert len(document["rows"]) == 5  # two of them cut to fewer dimensions


def test_what_is_done_is_not_done_again(
    world: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = evaluate(world["out"])
    monkeypatch.setattr("lorajax.service.learning.split_runs.open_job", pytest.fail)
    study(world["configs"], 2, world["out"], world["changes"])
    assert evaluate(world["out"]) == before
    with pytest.raises(CheckpointError, match="its configuration differs"):
        study(world["configs"], 2, world["out"], [*world["changes"], "run.seed=1"])


def test_what_nothing_can_be_measured_of_is_said(
    tiny_job: JobSettings, tmp_path: Path
) -> None:
    """LoRAs without labels, tags or pictures."""
    for path in scan([tiny_job.collection.path or ""]).files:
        shutil.copyfile(path, tmp_path / path.name)
    changes = [f"collection.path={tmp_path}"]
    with pytest.raises(CheckpointError, match="tiny: not evaluated") as refused:
        study([TINY], 2, tmp_path / "out", changes)
    assert "labels or pictures" in refused.value.hint


def test_a_study_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="cannot be written"):
        study([TINY], 2, tmp_path / "file" / "out", [])


def test_names_must_differ(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="of different names, found tiny, tiny"):
        study([TINY, TINY], 1, tmp_path / "out")
    with pytest.raises(ConfigError):
        study([], 1, tmp_path / "out")
