"""How long a person waits for the terminal application, through a real pseudo-terminal.

    python -m benchmarks.terminal_latency [--rows 100000] [--folder LORAS]

starts `lorajax-tui` over a library of that many drawn LoRAs, presses keys and waits
until what must follow has been written to the terminal: the name under the cursor, or
how many LoRAs fit a filter. First alone, then while a training run and, with a folder
of LoRA files, an indexing of it go on beside it, both niced as the application starts
them. Prints JSON: `first_screen_s`, and for both cases the number of keys with the
median, the 95th percentile and the largest wait in milliseconds.
"""

import argparse
import fcntl
import json
import os
import pty
import re
import select
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil

from benchmarks.libraries import library_of_entries
from lorajax.service.collection.library import columns
from lorajax.service.processes import start_detached
from lorajax_tui.collection import Collection

ROWS, COLUMNS = 44, 140
_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)")
_PATIENCE = 30.0
_REST = 0.12  # as long as a quick hand takes from key to key
_DOWNS = 60
_WORDS = ("ink", "neon", "fog", "0042")


class Terminal:
    """A process in a pseudo-terminal."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.began = time.perf_counter()
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], list(command), environment)
        size = struct.pack("HHHH", ROWS, COLUMNS, 0, 0)
        fcntl.ioctl(self.file, termios.TIOCSWINSZ, size)

    def wait(self, words: str, keys: str = "") -> float:
        """Presses keys; the seconds until words are on their way to the screen."""
        start = time.perf_counter()
        os.write(self.file, keys.encode())
        written, wanted = b"", words.encode()
        while wanted not in _ESCAPES.sub(b"", written):
            left = start + _PATIENCE - time.perf_counter()
            if left <= 0 or not select.select([self.file], [], [], left)[0]:
                raise TimeoutError(f"expected {words!r} on the screen, waited in vain")
            written += os.read(self.file, 65_536)
        return time.perf_counter() - start

    def rest(self, seconds: float = _REST) -> None:
        """Reads whatever comes for a while."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            if select.select([self.file], [], [], left)[0]:
                os.read(self.file, 65_536)

    def close(self) -> None:
        """Quits as a person would."""
        os.write(self.file, b"\x1b")
        self.rest()
        os.write(self.file, b"q")
        with suppress(OSError):  # so Linux says that the other end is closed
            self.rest(5.0)
        os.waitpid(self.pid, 0)


def waits(terminal: Terminal, shown: Collection) -> Iterator[float]:
    """Walks down the table and filters it; seconds for every key."""
    names = shown.view("", "name", False).names()
    for name in names[1 : _DOWNS + 1]:
        yield terminal.wait(name, "j")
        terminal.rest()
    terminal.wait(names[0], "g")
    terminal.rest()
    terminal.wait("", "/")
    terminal.rest()
    for word in _WORDS:
        for length in range(1, len(word) + 1):
            fitting = len(shown.keys_with(word[:length]))
            yield terminal.wait(f"{fitting:,} of {len(names):,}", word[length - 1])
            terminal.rest()
        os.write(terminal.file, b"\x15")  # forgets the line
        terminal.rest(0.5)
    os.write(terminal.file, b"\x1b")
    terminal.rest(0.5)
    os.write(terminal.file, b"g")
    terminal.rest(0.5)


@contextmanager
def others(folder: Path | None, place: Path) -> Iterator[None]:
    """A training run and an indexing that go on meanwhile."""
    train = [sys.executable, "-m", "lorajax.train", "configs/tiny.yaml"]
    train += ["training.steps=1000000", f"run.root={place}", "run.name=beside"]
    processes = [start_detached(train, place / "train.log")]
    if folder is not None:
        index = f"{sys.executable} -m lorajax index {folder} --refit"
        index += f" --library {place / 'beside.sqlite'}"
        loop = ["sh", "-c", f"while true; do {index}; done"]
        processes.append(start_detached(loop, place / "index.log"))
    metrics = place / "beside" / "metrics.jsonl"
    while not (metrics.exists() and '"train"' in metrics.read_text("utf-8")):
        if not processes[0].is_running():
            raise RuntimeError((place / "train.log").read_text("utf-8"))
        time.sleep(0.5)
    try:
        yield
    finally:
        every = [p for one in processes for p in (one, *one.children(recursive=True))]
        for one in every:  # the loop before what it runs
            one.terminate()
        _, left = psutil.wait_procs(every, timeout=60)
        for one in left:
            one.kill()


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Percentiles in milliseconds."""
    p50, p95, largest = np.percentile(np.array(seconds) * 1000, [50, 95, 100])
    rounded = {"p50_ms": p50, "p95_ms": p95, "largest_ms": largest}
    return {"keys": len(seconds)} | {k: round(float(v), 1) for k, v in rounded.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="LoRA files to index meanwhile")
    options = parser.parse_args()
    library = library_of_entries(options.rows)
    shown = Collection(library, columns(library))
    first_name = shown.view("", "name", False).row(0)["name"]
    with tempfile.TemporaryDirectory() as place:
        home = {"XDG_STATE_HOME": place, "TERM": "xterm-256color"}
        command = [sys.executable, "-m", "lorajax_tui", "--library", str(library)]
        terminal = Terminal([*command, "--runs", place], {**os.environ, **home})
        terminal.wait(first_name)
        first = time.perf_counter() - terminal.began
        terminal.rest(1.0)
        found = {"alone": summary(list(waits(terminal, shown)))}
        with others(options.folder, Path(place)):
            found["beside_training"] = summary(list(waits(terminal, shown)))
        terminal.close()
    print(
        json.dumps({"rows": options.rows, "first_screen_s": round(first, 2), **found})
    )


if __name__ == "__main__":
    main()
