"""How far long work has come, in one shape for every front end.

A process that works for a screen prints a `progress_line` per event on standard
error; `parse_progress` reads it back. To a person the same line is plain words.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

_LINE = re.compile(
    r"^(?P<stage>[^:]+): (?P<done>\d+)/(?P<total>\d+)(?: · (?P<note>.*))?$"
)


@dataclass(frozen=True, slots=True)
class Progress:
    """One sign of progress.

    Attributes:
      stage: what is being done, in a word or two.
      done, total: how many of how many; total 0 means that it is not known.
      note: what is in hand just now, such as a file name.
    """

    stage: str
    done: int = 0
    total: int = 0
    note: str = ""

    @property
    def fraction(self) -> float | None:
        """The share that is done, or None where the total is not known."""
        return self.done / self.total if self.total else None


OnProgress = Callable[[Progress], None]


def progress_line(progress: Progress) -> str:
    """One line of text for an event: `indexing: 12/340 · ink.safetensors`."""
    note = " ".join(progress.note.split())
    head = f"{progress.stage}: {progress.done}/{progress.total}"
    return f"{head} · {note}" if note else head


def parse_progress(line: str) -> Progress | None:
    """The event that a line tells of, or None where the line is something else."""
    found = _LINE.match(line.strip())
    if found is None:
        return None
    note = found["note"] or ""
    return Progress(found["stage"], int(found["done"]), int(found["total"]), note)


def at_most_every(seconds: float, on_progress: OnProgress) -> OnProgress:
    """Passes on the first and last event of a stage, and others not too often."""
    last_time, last_stage = 0.0, ""

    def pass_on(progress: Progress) -> None:
        nonlocal last_time, last_stage
        now = time.monotonic()
        ends = progress.done in (0, progress.total) or progress.stage != last_stage
        if ends or now - last_time >= seconds:
            last_time, last_stage = now, progress.stage
            on_progress(progress)

    return pass_on
