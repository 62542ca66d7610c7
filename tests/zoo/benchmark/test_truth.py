"""The written truth: whole, distinct, split as it says, and the same every time."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lorajax.dataset.behaviour import read_behaviour
from lorajax.dataset.label_files import read_labels, read_rankings, read_triplets
from lorajax.dataset.mining import GAP_IN_NOISE
from lorajax.errors import ZooError
from lorajax.zoo.benchmark.parts import rank_candidates, rate
from lorajax.zoo.benchmark.truth import read_listed, write_truth_files
from tests.zoo.pictured import EACH, STYLES, pictured

IDS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = pictured(tmp_path_factory.mktemp("zoo"))
    write_truth_files(folder)
    return folder


def ids(folder: Path, name: str) -> list[str]:
    return (folder / "truth" / f"{name}_ids.txt").read_text().splitlines()


def styles_of(folder: Path, names: list[str]) -> set[str]:
    labels = read_labels(folder / "labels.csv")
    return {labels[name] for name in names}


def test_styles_are_unseen_and_every_lora_is_somewhere(folder: Path) -> None:
    parts = [ids(folder, name) for name in IDS]
    assert sorted(name for part in parts for name in part) == read_listed(folder).names
    styles = [styles_of(folder, part) for part in parts]
    assert [len(own) for own in styles] == [STYLES - 4, 2, 2]
    assert len(set().union(*styles)) == STYLES


def test_the_other_split_has_the_same_styles(folder: Path) -> None:
    train, test = (ids(folder, name) for name in ("seen_train", "seen_test"))
    assert styles_of(folder, train) == styles_of(folder, test)
    assert not set(train) & set(test) and len(train + test) == STYLES * EACH
    assert len(test) == STYLES * 2  # a quarter of six, rounded


@pytest.mark.parametrize("kind", ["behaviour", "tags"])
@pytest.mark.parametrize("part", IDS)
def test_triplets_are_distinct_and_of_their_part(
    folder: Path, kind: str, part: str
) -> None:
    path = folder / "truth" / f"triplets_{kind}_{part}.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    keys = ["anchor", "positive", "negative"]
    assert rows and all(list(row) == keys for row in rows)
    triplets = {tuple(row.values()) for row in rows}
    assert len(triplets) == len(rows)
    assert {name for row in triplets for name in row} <= set(ids(folder, part))


def test_behaviour_triplets_keep_the_gap(folder: Path) -> None:
    names = read_listed(folder).names
    train = np.isin(names, ids(folder, "train"))
    behaviour = read_behaviour(folder, names, train)
    places = {name: i for i, name in enumerate(names)}
    for part in IDS:
        path = folder / "truth" / f"triplets_behaviour_{part}.jsonl"
        a, p, n = read_triplets(path, places).T
        gaps = behaviour.teacher[a, p] - behaviour.teacher[a, n]
        assert gaps.min() >= GAP_IN_NOISE * behaviour.noise - 1e-9


def test_rankings_are_of_test_loras_by_likeness(folder: Path) -> None:
    path = folder / "truth" / "rankings_behaviour.csv"
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    test = set(ids(folder, "test"))
    assert {row["query_id"] for row in rows} == test  # twelve, fewer than thirty
    assert all(row["lora_id"] in test - {row["query_id"]} for row in rows)
    names = read_listed(folder).names
    train = np.isin(names, ids(folder, "train"))
    likeness = read_behaviour(folder, names, train).teacher
    places = {name: i for i, name in enumerate(names)}
    a, better, worse = read_rankings(path, places).T
    assert (likeness[a, better] >= likeness[a, worse]).all()


def test_candidates_spread_over_the_ranking() -> None:
    rng = np.random.default_rng(0)
    likeness = rng.random((200, 200)) + 2 * np.eye(200)
    ranked = rank_candidates(likeness, np.arange(200), 30, rng)
    assert len(ranked) == 30
    for query, candidates in ranked.items():
        assert 22 <= len(candidates) <= 43
        own = np.sort(likeness[query, candidates])[::-1]
        assert np.array_equal(own, likeness[query, candidates])
        assert own[0] > 0.85 and own[-1] < 0.15 and query not in candidates


def test_raters_agree_where_it_is_clear_and_only_there() -> None:
    rng = np.random.default_rng(0)
    likeness = np.tile(np.linspace(0, 1, 200), (200, 1))
    clear = np.array([[0, 190, 10]] * 500)
    close = np.array([[0, 100, 99]] * 500)
    assert (rate(clear, likeness, 0.05, rng) == clear).all()
    kept = (rate(close, likeness, 0.05, rng) == close).all(1).mean()
    assert 0.5 < kept < 0.7
    path_free = rate(clear[:, [0, 2, 1]], likeness, 0.0, rng)
    assert (path_free == clear).all()  # raters, not the question, decide


def test_it_is_the_same_every_time_and_another_with_another_seed(
    folder: Path, tmp_path: Path
) -> None:
    def written(root: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (root / "truth").iterdir()}

    before = written(folder)
    write_truth_files(folder)
    assert written(folder) == before
    assert set(before) == set(written(folder)) and len(before) == 16
    other = pictured(tmp_path)
    write_truth_files(other)
    assert written(other) == before
    write_truth_files(other, seed=1)
    assert written(other)["test_ids.txt"] != before["test_ids.txt"]


def test_the_readme_tells_what_is_simulated_and_counts(folder: Path) -> None:
    text = (folder / "truth" / "README.md").read_text(encoding="utf-8")
    assert "**simulated**" in text and "has no human in it" in text
    assert "| `test_ids.txt` | 12 |" in text
    for path in (folder / "truth").iterdir():
        assert path.name == "README.md" or f"`{path.name}`" in text
    assert max(map(len, (line for line in text.splitlines() if line[:1] != "|"))) <= 88


def test_a_lora_that_nobody_tagged_is_in_no_triplet_by_tags(tmp_path: Path) -> None:
    """Not even by `ss_tag_frequency`, which holds the word that names its style."""
    pictured(tmp_path, pictures=False)
    silent = sorted(tmp_path.glob("*.metadata.json"))[:8]
    for path in silent:
        path.write_text('{"tags": []}', encoding="utf-8")
        file = path.with_name(path.name.replace(".metadata.json", ".safetensors"))
        metadata = {
            "ss_base_model_version": "lorajax-zoo-1",
            "ss_tag_frequency": '{"10_trigger": {"trigger": 10}}',
        }
        save_file(load_file(file), file, metadata)
    write_truth_files(tmp_path)
    names = {path.name.removesuffix(".metadata.json") for path in silent}
    for file in (tmp_path / "truth").glob("triplets_tags_*.jsonl"):
        for line in file.read_text(encoding="utf-8").splitlines():
            assert not names & set(json.loads(line).values())


def test_without_pictures_tags_are_left(tmp_path: Path) -> None:
    folder = pictured(tmp_path, pictures=False)
    write_truth_files(folder)
    found = {path.name for path in (folder / "truth").iterdir()}
    assert "triplets_tags_test.jsonl" in found
    assert not any("behaviour" in name or "human" in name for name in found)
    assert "no pictures" in (folder / "truth" / "README.md").read_text("utf-8")


def test_unfinished_collections_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="expected the truth of a collection"):
        write_truth_files(tmp_path)
    rows = [{"name": "a", "style": "b", "file": "a.safetensors"}]
    (tmp_path / "zoo.json").write_text(json.dumps({"loras": rows}))
    with pytest.raises(ZooError, match="expected 1 LoRAs, found 0"):
        write_truth_files(tmp_path)
    assert not (tmp_path / "truth").exists()
