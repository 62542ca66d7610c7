"""The paper's public benchmark, in its own files and folders, is accepted as it is.

`tests/data/benchmark` has its layout with ids and annotations that are made up.
"""

import shutil
from pathlib import Path

from lorajax.dataset.collection import Collection, Member
from lorajax.dataset.finding import find_supervision
from lorajax.dataset.label_files import (
    read_ids,
    read_rankings,
    read_ranks,
    read_triplets,
)

BENCHMARK = Path(__file__).parents[1] / "data" / "benchmark"
TRAIN = tuple(f"10010{i}" for i in range(1, 7))
EVAL = tuple(f"20020{i}" for i in range(1, 7))
PLACES = {name: i for i, name in enumerate((*TRAIN, *EVAL))}


def test_id_lists_split_the_collection() -> None:
    train = read_ids(BENCHMARK / "metadata" / "train_ids_6.txt", PLACES)
    test = read_ids(BENCHMARK / "metadata" / "eval_ids_6.txt", PLACES)
    assert train.tolist() == [0, 1, 2, 3, 4, 5]
    assert test.tolist() == [6, 7, 8, 9, 10, 11]


def test_automatic_and_human_triplets() -> None:
    automatic = BENCHMARK / "data" / "triplets_auto_visual" / "eval_triplets.jsonl"
    human = (
        BENCHMARK / "data" / "triplets_human_visual" / "human_labeled_triplets.jsonl"
    )
    assert read_triplets(automatic, PLACES).tolist() == [
        *([6, 7, 8], [8, 9, 6], [10, 11, 7])
    ]
    assert read_triplets(human, PLACES).tolist() == [[6, 7, 9], [9, 8, 11]]


def test_rankings_of_queries() -> None:
    path = BENCHMARK / "data" / "ranking_human_visual" / "ranking_gt_2_queries.csv"
    ranks = read_ranks(path, PLACES)
    assert ranks[6] == [(7, 1.0), (8, 2.0), (9, 3.0), (10, 4.0), (11, 5.0)]
    assert [candidate for candidate, _ in ranks[11]] == [9, 8, 7]
    assert len(read_rankings(path, PLACES)) == 10 + 3


def test_its_training_triplets_teach_a_collection_named_by_civitai_ids(
    tmp_path: Path,
) -> None:
    source = BENCHMARK / "data" / "triplets_auto_visual" / "train_triplets.jsonl"
    shutil.copy(source, tmp_path)
    # What is about the test lies below the folder and is not learned from.
    shutil.copytree(BENCHMARK / "data", tmp_path / "data")
    members = tuple(
        Member(tmp_path / f"{name}.safetensors", name, "sd1", name, {}, None)
        for name in PLACES
    )
    found = find_supervision(Collection(tmp_path, "sd1", members, (), {}), "auto")
    assert found.kind == "triplets"
    assert found.note == "4 triplets from train_triplets.jsonl"
    assert found.triplets is not None
    assert set(found.triplets.ravel().tolist()) <= set(range(6))
