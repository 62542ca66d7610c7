"""Damaged files in numbers: each is read or refused, quickly and in little memory.

    python -m tests.formats.fuzzing --count 200000 --seed 1 --jobs 2 --out fuzz

File number i of a seed is always the same, so that a run goes on with `--start`, and
`--only` repeats one file. Whatever breaks a promise is kept under `--out`, with what
it broke.
"""

import argparse
import contextlib
import copy
import json
import multiprocessing
import re
import resource
import signal
import sys
import time
import traceback
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import FrameType

from lorajax.adapters import inspect_file, read_adapter
from lorajax.errors import LorajaxError
from tests.formats.fuzz_seeds import seeds
from tests.formats.mutations import mutate

# Seconds of the processor for one file, and of the clock before it counts as hanging.
LONGEST = 1.0
HANGING = 30
# Bytes beyond the file's own size.
MEMORY = 300 * 2**20
_REPORT_EVERY = 1000
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\[[^]]*\]|[\d,]+")


@dataclass
class Report:
    """What became of the files so far.

    Attributes:
      outcomes: how a file ended → number of files.
      slowest: seconds of processor time, and the file.
      peak: bytes of memory that the worst file took.
      broken: the files that broke a promise, and which.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, int] = (0.0, -1)
    peak: int = 0
    broken: dict[int, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return sum(self.outcomes.values())

    def join(self, other: "Report") -> None:
        self.outcomes += other.outcomes
        self.slowest = max(self.slowest, other.slowest)
        self.peak = max(self.peak, other.peak)
        self.broken |= other.broken

    def as_dict(self) -> dict[str, object]:
        return {
            "files": self.count,
            "kinds": len(self.outcomes),
            "read": self.outcomes["read"],
            "slowest_seconds": round(self.slowest[0], 3),
            "slowest_file": self.slowest[1],
            "peak_mebibytes": round(self.peak / 2**20),
            "broken": self.broken,
            "outcomes": dict(self.outcomes.most_common(60)),
        }


class Hang(Exception):
    """A file took far too long."""


def damaged(seed: int, number: int) -> tuple[str, dict[str, bytes]]:
    """File `number` of a seed: its name, and all files of its folder by their names."""
    rng = Random(f"{seed}/{number}")
    sample = copy.deepcopy(rng.choice(seeds()))
    data = mutate(rng, sample)
    stem = sample.file_name.removesuffix(".safetensors")
    beside = {
        stem + name if name.startswith(".") else name: raw
        for name, raw in sample.beside.items()
    }
    return sample.file_name, {sample.file_name: data, **beside}


def examine(path: Path) -> str:
    """Read a file in every way that tells of it; how it ended.

    Raises:
      AssertionError: if it is read, or refused, in another way than promised.
    """
    try:
        facts = inspect_file(path)
        adapter = read_adapter(path)
    except LorajaxError as error:
        assert error.message.startswith(str(path.parent)), error.message
        check_text(str(error))
        kind = _QUOTED.sub("…", error.message.partition(": ")[2])
        return f"{type(error).__name__}: {kind[:70]}"
    assert adapter.content_key == facts.content_key
    assert adapter.operators or adapter.norm == facts.norm
    document = facts.as_dict() | {"path": ""}
    for text in texts(json.loads(json.dumps(document, allow_nan=False))):
        check_text(text)
    return "read"


def texts(document: object) -> Iterator[str]:
    """Every key and every text in a document."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        for key, value in document.items():
            yield from (key, *texts(value))
    elif isinstance(document, list):
        for value in document:
            yield from texts(value)


def check_text(text: str) -> None:
    """No character of it moves a cursor, turns a direction or is half of another."""
    wrong = [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs")]
    assert not wrong, f"unsafe characters {wrong!r}"


def fuzz(
    seed: int, numbers: range, folder: Path, out: Path | None = None
) -> Iterator[Report]:
    """Examine these files; a report of all of them now and then, and at the end."""
    report = Report()
    warnings.simplefilter("error")
    signal.signal(signal.SIGALRM, _hang)
    for number in numbers:
        name, files = damaged(seed, number)
        path = _place(folder / str(number % 2), name, files)
        _forget_peak()
        memory, started = _peak_memory(), time.process_time()
        signal.alarm(HANGING)
        try:
            outcome = examine(path)
        except Exception:
            outcome = "broken"
            report.broken[number] = traceback.format_exc(limit=-6)
        finally:
            signal.alarm(0)
        seconds, grown = time.process_time() - started, _peak_memory() - memory
        if seconds > LONGEST:
            report.broken.setdefault(number, f"took {seconds:.1f} s")
        if grown > MEMORY + len(files[name]):
            report.broken.setdefault(number, f"took {grown:,} bytes")
        report.outcomes[outcome] += 1
        report.slowest = max(report.slowest, (seconds, number))
        report.peak = max(report.peak, grown)
        if out and number in report.broken:
            broken = _place(out / f"{seed}-{number}", name, files)
            broken.with_name("why.txt").write_text(report.broken[number])
        if report.count % _REPORT_EVERY == 0:
            yield report
            report = Report()
    yield report


def _place(folder: Path, name: str, files: dict[str, bytes]) -> Path:
    """Put one sample's files, and no others, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.name not in files:
            old.unlink()
    for other, data in files.items():
        (folder / other).write_bytes(data)
    return folder / name


def _forget_peak() -> None:
    """Let the largest memory of this process be that of now, where a system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_memory() -> int:
    """The largest memory of this process, in bytes: since it was last forgotten."""
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _hang(number: int, frame: FrameType | None) -> None:
    raise Hang(f"took more than {HANGING} s")


def _job(job: tuple[int, range, Path]) -> Report:
    seed, numbers, out = job
    total = Report()
    with TemporaryDirectory() as folder:
        for part in fuzz(seed, numbers, Path(folder), out):
            total.join(part)
    return total


def main() -> int:
    """The long way; prints a line every thousand files and keeps `report.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", type=int, help="repeat this one file")
    parser.add_argument("--out", type=Path, default=Path("fuzz"))
    told = parser.parse_args()
    told.out.mkdir(parents=True, exist_ok=True)
    if told.only is not None:
        name, files = damaged(told.seed, told.only)
        print(examine(_place(told.out / f"{told.seed}-{told.only}", name, files)))
        return 0
    total, began = Report(), time.monotonic()
    end = told.start + told.count
    starts = range(told.start, end, _REPORT_EVERY)
    jobs = [
        (told.seed, range(s, min(s + _REPORT_EVERY, end)), told.out) for s in starts
    ]
    with multiprocessing.get_context("spawn").Pool(told.jobs) as pool:
        for report in pool.imap(_job, jobs):
            total.join(report)
            text = json.dumps(total.as_dict(), indent=1)
            (told.out / "report.json").write_text(text)
            rate = 60 * total.count / (time.monotonic() - began)
            print(
                f"{total.count:,} of {told.count:,} files, {rate:,.0f} a minute, "
                f"{total.outcomes['read']:,} read, {len(total.broken)} broken, "
                f"slowest {total.slowest[0]:.2f} s",
                file=sys.stderr,
                flush=True,
            )
    return 1 if total.broken else 0


if __name__ == "__main__":
    sys.exit(main())
