"""In which settings runs differ."""

from pathlib import Path

from lorajax.service.learning.runs import Run
from lorajax.service.learning.side_by_side import differing


def test_only_what_differs_is_told() -> None:
    first = {"run.name": "a", "training.steps": 20, "run.seed": 1}
    second = {"run.name": "b", "training.steps": 30, "run.seed": 1, "new": None}
    third = {"run.name": "c", "training.steps": 20, "run.seed": 1, "new": [1]}
    runs = [Run(Path(c["run.name"]), "", None, c) for c in (first, second, third)]
    assert differing(runs) == {"training.steps": (20, 30, 20), "new": (None, None, [1])}
    assert differing(runs[:1]) == {}
