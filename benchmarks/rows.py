"""Rows of `results.json`: what was measured, against what, and whether it suffices."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results.json"


@dataclass(frozen=True)
class Row:
    """One comparison. Times are in seconds, memory in bytes; one of them is null, and
    both are where a share is compared.

    Attributes:
      name: of the row, as issues and targets call it.
      what: what was measured, in words.
      median_s: median of our times over the rounds.
      rival: what it was measured against, in words.
      rival_median_s: median of the rival's times over the same rounds.
      median_bytes: median of our peak memory, for rows about memory.
      rival_median_bytes: what the rival holds, or the limit.
      ratio: of the medians, oriented as the target is phrased.
      spread: interquartile range of the rounds' own ratios, by their median.
      rounds: how many there were; in each, both sides were measured in turn.
      target: what the ratio should be, such as `<= 3.0`; null where there is none.
      met: whether it is; null where there is no target.
      date: when it was measured.
    """

    name: str
    what: str
    median_s: float | None
    rival: str
    rival_median_s: float | None
    median_bytes: float | None
    rival_median_bytes: float | None
    ratio: float
    spread: float
    rounds: int
    target: str | None
    met: bool | None
    date: str


def is_met(ratio: float, target: str | None) -> bool | None:
    """Whether a ratio reaches a target such as `<= 3.0` or `>= 15`."""
    if target is None:
        return None
    sign, number = target.split()
    return ratio <= float(number) if sign == "<=" else ratio >= float(number)


def ratio_and_spread(
    ours: Sequence[float], rival: Sequence[float], target: str | None
) -> tuple[float, float]:
    """Ratio of the medians, and the spread of the rounds' own ratios.

    A target `>= 15` asks how many times the rival's cost is ours; every other row asks
    how many times our cost is the rival's.
    """
    top, bottom = np.array(ours), np.array(rival)
    if target and target.startswith(">="):
        top, bottom = bottom, top
    low, middle, high = np.quantile(top / bottom, (0.25, 0.5, 0.75))
    return float(np.median(top) / np.median(bottom)), float((high - low) / middle)


def read_rows(path: Path = RESULTS) -> list[Row]:
    """The rows on disk; none where nothing was measured yet."""
    if not path.exists():
        return []
    return [Row(**fields) for fields in json.loads(path.read_text("utf-8"))]


def write_rows(rows: Sequence[Row], path: Path = RESULTS) -> None:
    """A JSON list, one object a row."""
    text = json.dumps([asdict(row) for row in rows], indent=2)
    path.write_text(text + "\n", "utf-8")


def merged(old: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    """Old rows, those measured again replaced; rows measured first come last."""
    found = {row.name: row for row in (*old, *new)}
    return list(found.values())
