"""How far long work has come, in one shape for every front end.

A process that works for a screen prints a `progress_line` per event on standard
error; `parse_progress` reads it back. To a person the same line is plain words.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

_LINE = re.compile(
    r"^(?P<stage>[^:]+): (?P<done>\d+)/(?P<total>\d+)(?: \((?P<aside>[^()]*)\))?"
    r"(?: · (?P<note>.*))?$"
)

TELLING = 2  # things done from which a pace is reckoned, at least

_UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


@dataclass(frozen=True, slots=True)
class Progress:
    """One sign of progress.

    Attributes:
      stage: what is being done, in a word or two.
      done, total: how many of how many; total 0 means that it is not known.
      note: what is in hand just now, such as a file name.
      aside: more figures in words, such as bytes; no brackets.
    """

    stage: str
    done: int = 0
    total: int = 0
    note: str = ""
    aside: str = ""

    @property
    def fraction(self) -> float | None:
        """The share that is done, or None where the total is not known."""
        return self.done / self.total if self.total else None


OnProgress = Callable[[Progress], None]


def progress_line(progress: Progress) -> str:
    """One line of text: `indexing: 12/340 (1.2 of 3.4 GB) · ink.safetensors`."""
    note = " ".join(progress.note.split())
    head = f"{progress.stage}: {progress.done}/{progress.total}"
    head += f" ({progress.aside})" if progress.aside else ""
    return f"{head} · {note}" if note else head


def parse_progress(line: str) -> Progress | None:
    """The event that a line tells of, or None where the line is something else."""
    found = _LINE.match(line.strip())
    if found is None:
        return None
    words = found["note"] or "", found["aside"] or ""
    return Progress(found["stage"], int(found["done"]), int(found["total"]), *words)


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


def with_pace(
    on_progress: OnProgress, clock: Callable[[], float] = time.monotonic
) -> OnProgress:
    """Adds rate and time left to every event of a stage that is well on its way.

    They are reckoned from the end of what came first, which took the compiling as well.
    """
    stage, start, began, first = "", 0, 0.0, 0

    def pass_on(progress: Progress) -> None:
        nonlocal stage, start, began, first
        now = clock()
        if progress.stage != stage:
            stage, start, first = progress.stage, progress.done, progress.done
        if first == start:  # nothing had moved yet
            began, first = now, progress.done
        done, seconds = progress.done - first, now - began
        if done >= TELLING and seconds > 0 and progress.total:
            left = (progress.total - progress.done) * seconds / done
            pace = (f"{done / seconds:.1f}/s", f"{duration(left)} left")
            words = ", ".join(filter(None, (progress.aside, *pace)))
            progress = replace(progress, aside=words)
        on_progress(progress)

    return pass_on


def duration(seconds: float) -> str:
    """A time in words: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def amount(done: int, total: int) -> str:
    """Bytes of bytes in the unit of the larger: `1.2 of 40.1 GB`."""
    size, unit = next((u for u in _UNITS if total >= u[0]), _UNITS[-1])
    return f"{done / size:.1f} of {total / size:.1f} {unit}"
