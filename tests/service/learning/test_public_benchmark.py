"""The settings that name the public benchmark's files lead to its three experiments."""

from pathlib import Path

import numpy as np
import pytest

from lorajax.config import EvaluationSettings
from lorajax.dataset.collection import Collection, Member
from lorajax.dataset.label_files import read_ids
from lorajax.dataset.splits import make_fixed_split
from lorajax.dataset.supervision import from_triplets
from lorajax.evaluation.experiments import judge
from lorajax.service.learning.judging import Judge

BENCHMARK = Path(__file__).parents[2] / "data" / "benchmark"
NAMES = [f"{part}0{i}" for part in ("1001", "2002") for i in range(1, 7)]


def test_all_three_experiments_are_judged_by_its_files() -> None:
    members = tuple(
        Member(BENCHMARK / f"{name}.safetensors", name, "sd1", name, {}, None)
        for name in NAMES
    )
    collection = Collection(BENCHMARK, "sd1", members, (), {})
    settings = EvaluationSettings(
        test_ids="metadata/eval_ids_6.txt",
        tag_triplets="data/triplets_auto_visual/eval_triplets.jsonl",
        human_triplets="data/triplets_human_visual/human_labeled_triplets.jsonl",
        rankings="data/ranking_human_visual/ranking_gt_2_queries.csv",
    )
    places = {name: i for i, name in enumerate(NAMES)}
    assert settings.test_ids is not None
    test = read_ids(BENCHMARK / settings.test_ids, places)
    rows = np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0], [4, 5, 1], [6, 7, 8]])
    teacher = from_triplets("triplets", len(NAMES), rows, "made up")
    split = make_fixed_split(teacher, test, settings, seed=0)
    assert split is not None and split.test.tolist() == test.tolist()
    judgements = Judge(collection, teacher, settings).judgements(split, seed=0)
    # On a circle in the order of the ids all that the files say is right.
    scores = judge(on_a_circle([0, 1, 2, 3, 4, 5]), judgements)
    assert scores["tags"].mean("triplet_accuracy") == 1.0
    assert scores["human"].mean("triplet_accuracy") == 1.0
    gains = scores["ranking"].values["ndcg@10"]
    assert gains[[0, 5]].tolist() == [1.0, 1.0] and np.isnan(gains[1:5]).all()
    # With the second and the third exchanged, two of three triplets are wrong.
    scores = judge(on_a_circle([0, 2, 1, 3, 4, 5]), judgements)
    assert scores["tags"].mean("triplet_accuracy") == pytest.approx(1 / 3)
    assert (scores["ranking"].values["ndcg@10"][[0, 5]] < 1).all()


def on_a_circle(places: list[int]) -> np.ndarray:
    angles = 0.4 * np.array(places)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)
