"""The curves of a run, read piece by piece from its `metrics.jsonl`."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lorajax.training.run_dir import read_metrics

CURVES = ("loss", "accuracy", "triplet_accuracy", "lr", "loras_per_s")
_MESSAGES_KEPT = 200
_PACED_LINES = 30


@dataclass
class Curve:
    """Values over steps."""

    steps: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def append(self, step: float, value: float) -> None:
        self.forget(bisect_left(self.steps, step))
        self.steps.append(step)
        self.values.append(value)

    def forget(self, kept: int) -> None:
        """Forgets all but the first points."""
        del self.steps[kept:], self.values[kept:]


@dataclass
class Curves:
    """What a run has measured so far.

    Attributes:
      of: (what, split) → curve; `what` is one of `CURVES`.
      rate: LoRAs per second, as last measured.
      pace: optimiser steps per second, over the last lines of one split.
      messages: what the stages said, the last ones.
      offset: how much of the file has been read.
    """

    of: dict[tuple[str, int], Curve] = field(default_factory=dict)
    rate: float | None = None
    learning_rate: float | None = None
    messages: list[str] = field(default_factory=list)
    offset: int = 0
    recent: list[tuple[float, float, int]] = field(default_factory=list)

    @property
    def pace(self) -> float | None:
        if len(self.recent) < 2:
            return None
        (begun, first, _), (now, last, _) = self.recent[0], self.recent[-1]
        return (last - first) / (now - begun) if now > begun and last > first else None

    def splits(self, what: str) -> list[int]:
        """The splits for which a curve exists."""
        return sorted(split for name, split in self.of if name == what)

    def last(self, what: str) -> float | None:
        """The newest value of the newest split."""
        splits = self.splits(what)
        return self.of[what, splits[-1]].values[-1] if splits else None


def read_curves(path: Path, before: Curves | None = None) -> Curves:
    """Reads what was written since `before`, or everything.

    A file that became shorter belongs to a run begun anew and is read from its start.
    A run that died goes on from its last checkpoint and measures steps a second time:
    what it had measured from there on is forgotten.
    """
    file = path / "metrics.jsonl"
    size = file.stat().st_size if file.is_file() else 0
    curves = before if before is not None and before.offset <= size else Curves()
    try:
        for line, offset in read_metrics(path, curves.offset):
            curves.offset = offset
            _take(curves, line)
    except ValueError:
        curves.messages.append("metrics.jsonl: a line that is not JSON ends the curves")
    return curves


def _take(curves: Curves, line: Any) -> None:
    """Adds one line of metrics; what is not understood is passed over."""
    if not isinstance(line, dict):
        return
    if line.get("kind") == "stage":
        words = f"{line.get('stage', '')}: {line.get('message', '')}".strip(": ")
        curves.messages = [*curves.messages, words][-_MESSAGES_KEPT:]
        return
    step, split = _number(line.get("step")), _number(line.get("split")) or 0
    if line.get("kind") == "train" and step is not None:
        for (what, other), curve in list(curves.of.items()):
            if other == int(split):
                curve.forget(bisect_right(curve.steps, step))
                if not curve.steps:
                    del curves.of[what, other]
    for what in CURVES:
        value = _number(line.get(what))
        if step is not None and value is not None:
            curves.of.setdefault((what, int(split)), Curve()).append(step, value)
    if line.get("kind") == "train" and step is not None:
        _keep_pace(curves, _number(line.get("time")) or 0.0, step, int(split))
    curves.rate = _number(line.get("loras_per_s")) or curves.rate
    curves.learning_rate = _number(line.get("lr")) or curves.learning_rate


def _keep_pace(curves: Curves, time: float, step: float, split: int) -> None:
    """Remembers when the last steps of the present split were done."""
    same = [line for line in curves.recent if line[2] == split]
    curves.recent = [*same, (time, step, split)][-_PACED_LINES:]


def _number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < float("inf") else None
