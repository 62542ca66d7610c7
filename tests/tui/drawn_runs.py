"""Runs drawn for pictures, and what was really measured on unseen styles.

Curves are drawn; the table of the study is that of `docs/studies/bench`.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from lorajax.training.run_dir import RunDir, write_json

NOW = 1_795_262_400.0  # 2026-11-21 12:00 UTC
ROOT = Path(__file__).parents[2]
STUDY = ROOT / "docs" / "studies" / "bench"
REFERENCE = "encoder trained"
_ROWS = ("unlearned features", "encoder at initialisation", "encoder trained")
_METRICS = ("triplet_accuracy", "map@10", "mrr", "ndcg@10")
# Runs, and where they differ from `base` by more than chance (docs/results.md).
_STARS = {
    "base": (),
    "no-transformer": (),
    "no-layer-weights": ("ndcg@10",),
    "triplet": ("map@10", "mrr"),
    "listnet": ("triplet_accuracy", "map@10", "mrr"),
}


def draw_run(
    folder: Path,
    minutes: float,
    steps: int = 0,
    total: int = 240,
    splits: int = 2,
    **status: Any,
) -> Path:
    """A run as the trainer keeps it.

    Args:
      minutes: before now it was begun.
      steps: that it has done, over all splits.
      status: state, stage and message.
    """
    run = RunDir(folder)
    began = NOW - 60 * minutes
    write_json(folder / "launch.json", {"time": began})
    config = {"training": {"steps": total // splits, "seed": 0}}
    (folder / "config.yaml").write_text(json.dumps(config))
    words = ("read 192 LoRAs of lorajax-zoo-1", "styles by labels.csv, 48 of them")
    for stage, said in zip(("collection", "supervision"), words, strict=True):
        run.log(kind="stage", stage=stage, message=said, time=began)
    for line in _lines(steps, total // splits, 1 + minutes / 400):
        run.log(**line, time=began + 5 + 0.04 * line.pop("at"))
    run.update(step=steps, total=total, **status)
    return folder


def _lines(steps: int, of_split: int, slow: float) -> Iterator[dict[str, Any]]:
    """What the trainer measures on the way: two splits that learn, with some noise."""
    for at in range(1, steps + 1):
        split, step = divmod(at - 1, of_split)
        step += 1
        known: dict[str, Any] = {"split": split, "step": step, "at": at}
        falling = (0.24 + 0.05 * split) * math.exp(-step / (slow * (22 + 7 * split)))
        loss = falling + 0.03 * slow + 0.012 * math.sin(1.7 * step) / (1 + step / 40)
        rate = 1e-3 * (1 + math.cos(math.pi * step / of_split)) / 2
        speed = 640 + 25 * math.sin(step / 9)
        yield {**known, "kind": "train", "loss": loss, "lr": rate, "loras_per_s": speed}
        if step % 10 == 0:
            right = 0.91 - 0.02 * split - falling / 1.4
            yield {**known, "kind": "validation", "triplet_accuracy": right}


def draw_results(folder: Path) -> None:
    """What `make demo` measured, as the first table of the README tells it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [_row_of(method, readme) for method in _ROWS]
    write_json(folder / "results.json", {"trained": True, "splits": 3, "rows": rows})


def _row_of(method: str, readme: str) -> dict[str, Any]:
    line = next(x for x in readme.splitlines() if x.startswith(f"| {method} |"))
    pairs = re.findall(r"([\d.]+) ± ([\d.]+)", line)
    row: dict[str, Any] = {"method": method}
    for metric, (value, spread) in zip(_METRICS, pairs, strict=True):
        row[metric] = {"mean": float(value), "std": float(spread)}
    return row


def measured(words: Sequence[str]) -> dict[str, Any]:
    """What `lorajax evaluate` says of the study of losses and parts."""
    rows = [_row(run, stars) for run, stars in _STARS.items()]
    first = _seeds("base")
    facts = {"truth": "styles", "n_queries": 390, "seeds": len(first)}
    unlearned = [seed["styles"]["unlearned features"] for seed in first]
    rows.append(_means("unlearned features", unlearned, _METRICS))
    return {**facts, "against": "base", "rows": rows}


def _row(run: str, stars: Sequence[str]) -> dict[str, Any]:
    return _means(run, [seed["styles"][REFERENCE] for seed in _seeds(run)], stars)


def _seeds(run: str) -> list[dict[str, Any]]:
    return json.loads((STUDY / f"{run}.json").read_text(encoding="utf-8"))["seeds"]


def _means(
    method: str, seeds: Sequence[dict[str, float]], stars: Sequence[str]
) -> dict[str, Any]:
    row: dict[str, Any] = {"method": method}
    for name in _METRICS:
        values = [seed[name] for seed in seeds]
        p_value = 0.001 if name in stars else 0.4
        row[name] = {"mean": mean(values), "std": stdev(values), "p_value": p_value}
    return row
