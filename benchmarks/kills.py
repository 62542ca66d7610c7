"""Indexing that is killed again and again while two readers look on.

python -m lorajax zoo build configs/zoo/scale.yaml zoo.styles=300 --out FOLDER
python -m benchmarks.kills FOLDER --kills 100     # about ten minutes; prints figures

Before every run the collection changes: files come, go, get other names, other
contents and sidecars. The process is ended by SIGKILL at a random moment. What it
acknowledged is kept, where acknowledged means: a progress line has passed the file, or
a reader has listed the LoRA. In the end one run is left alone, and the library must
equal that of a run that was never disturbed.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lorajax.library import Library, stamp
from lorajax.library.store.checking import damages
from lorajax.service.progress import parse_progress

INDEX = """
import sys
from pathlib import Path
from lorajax.service.collection.indexing import index_folders
from lorajax.service.progress import progress_line
index_folders([Path(sys.argv[1])], Path(sys.argv[2]),
              on_progress=lambda event: print(progress_line(event), flush=True))
"""
READ = """
import sys, time
from pathlib import Path
from lorajax.errors import LibraryError
from lorajax.library import Library
from lorajax.service.collection.library import neighbours
path, seen, looks = Path(sys.argv[1]), set(), 0
while True:
    with Library.open(path, create=False) as library:
        keys = library.columns()["key"]
        print(*(key for key in keys if key not in seen), sep="\\n", flush=True)
        seen.update(keys)
        library.waiting(), library.refused()
        if keys and library.spaces():
            key = keys[looks % len(keys)]
            if library.spaces_of(key):
                try:
                    assert neighbours(path, key, k=5).matches is not None
                except LibraryError as error:
                    if library.entry(key) is not None:  # else it has just gone
                        raise
    looks += 1
    print(f"looks {looks}", flush=True)
    time.sleep(0.02)
"""
# A run is killed some time after the first line of such a stage, or after its start.
STAGES = ("indexing", "reading headers", "indexing", "scanning", "")
_DELAY = 1.0


@dataclass
class Reader:
    """A process that lists and searches all the while."""

    process: subprocess.Popen[str]
    seen: set[str] = field(default_factory=set)
    looks: int = 0

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self.follow, daemon=True)

    @classmethod
    def start(cls, code: str, library: Path) -> "Reader":
        command = [sys.executable, "-c", code, str(library)]
        pipe = subprocess.PIPE
        reader = cls(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True))
        reader.thread.start()
        return reader

    def follow(self) -> None:
        out = self.process.stdout
        assert out is not None
        for line in iter(out.readline, ""):
            words = line.split()
            if words[:1] == ["looks"]:
                self.looks = int(words[1])
            else:
                self.seen.update(words)

    def stop(self) -> str:
        """Ends it; returns what it failed with, or nothing."""
        failed = self.process.poll() is not None
        self.process.kill()
        self.thread.join()
        said = self.process.communicate()[1]
        return said if failed else ""


@dataclass
class Collection:
    """A folder that changes, and what it will still grow by."""

    folder: Path
    pool: list[Path]
    rng: random.Random
    grow: int

    def change(self) -> None:
        """Files come, go, are renamed and overwritten, and get sidecars."""
        for _ in range(min(self.grow, len(self.pool))):
            source = self.pool.pop()
            shutil.copyfile(source, self.folder / source.name)
        files = sorted(self.folder.glob("*.safetensors"))
        gone, renamed, told, spoilt = self.rng.sample(files, 4)
        gone.unlink()
        renamed.rename(renamed.with_stem(f"{renamed.stem}-r"))
        told.with_suffix(".json").write_text('{"activation text": "inkwash"}')
        if self.pool:
            shutil.copyfile(self.pool.pop(), spoilt)


def kill_and_resume(
    sources: Sequence[Path],
    work: Path,
    kills: int,
    grow: int = 30,
    seed: int = 0,
    index: str = INDEX,
    read: str = READ,
    delay: float = _DELAY,
) -> dict[str, Any]:
    """Kills as many runs; returns figures.

    Raises:
      AssertionError: where anything acknowledged was lost, a reader failed, the file
        was damaged, or the end differs from that of an undisturbed run.
    """
    rng = random.Random(seed)
    folder, library = work / "loras", work / "library.sqlite"
    folder.mkdir(parents=True)
    pool = list(sources)
    rng.shuffle(pool)
    collection = Collection(folder, pool, rng, grow)
    for _ in range(5):
        shutil.copyfile(pool[-1], folder / pool.pop().name)
    Library.open(library).close()
    readers = [Reader.start(read, library) for _ in range(2)]
    figures: Counter[str] = Counter()
    try:
        for number in range(kills):
            collection.change()
            replaced = _replaced(library, folder)
            for reader in readers:
                reader.seen -= replaced
            after = STAGES[number % len(STAGES)]
            lines, killed = _run_and_kill(index, folder, library, after, rng, delay)
            stage = lines[-1].split(":")[0] if lines else "starting"
            figures[f"killed while {stage}" if killed else "ended before"] += 1
            figures["files acknowledged"] += _check(library, folder, lines)
            with Library.open(library) as opened:
                lost = set().union(*(reader.seen for reader in readers)) - replaced
                lost -= set(opened.columns()["key"])
            assert not lost, lost
    finally:
        errors = [reader.stop() for reader in readers]
    assert not any(errors), errors
    figures["looks of two readers"] = sum(reader.looks for reader in readers)
    alone = work / "alone.sqlite"
    for path in (library, alone):
        command = [sys.executable, "-c", index, str(folder), str(path)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    resumed, undisturbed = state_of(library), state_of(alone)
    for part, rows in undisturbed.items():
        assert resumed[part] == rows, (part, set(resumed[part]) ^ set(rows))
    figures["LoRAs in the end"] = len(undisturbed["loras"])
    return dict(figures)


def _replaced(library: Path, folder: Path) -> set[str]:
    """LoRAs that the next run may drop: their only file holds something else now.

    Or held it before the last run already, which was killed before it dropped them.
    """
    with Library.open(library) as opened:
        stamps = opened.stamps()
        keys = set(opened.columns()["key"])
    return (keys - {key for _, key in stamps.values()}) | {
        key
        for path, (before, key) in stamps.items()
        if Path(path).exists() and stamp(Path(path)) != before
    }


def _run_and_kill(
    code: str, folder: Path, library: Path, after: str, rng: random.Random, delay: float
) -> tuple[list[str], bool]:
    """The lines of a run up to its end, and whether it was killed."""
    command = [sys.executable, "-c", code, str(folder), str(library)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines: list[str] = []
    while after and not (lines and lines[-1].startswith(after)):
        lines.append(process.stdout.readline())
        if not lines[-1]:
            break
    timer = threading.Timer(rng.uniform(0, delay), process.kill)
    timer.start()
    lines += process.stdout.readlines()
    process.stdout.close()
    status = process.wait()
    timer.cancel()
    assert status in (0, -9), status
    return [line.strip() for line in lines if line.endswith("\n")], status == -9


def _check(library: Path, folder: Path, lines: list[str]) -> int:
    """Files that a line has passed are in the library; returns how many there were."""
    assert damages(library) == []
    events = [event for event in map(parse_progress, lines) if event is not None]
    passed = [event.note for event in events if event.stage == "indexing"][:-1]
    with Library.open(library) as opened:
        stamps = opened.stamps()
        refused = {refusal.path for refusal in opened.refused()}
    for name in filter(None, passed):
        path = folder / name
        known = stamps.get(str(path), (None, ""))[0]
        assert known == stamp(path) or str(path) in refused, f"lost: {name}"
    return len(passed)


def state_of(library: Path) -> dict[str, Any]:
    """All that must not depend on how often a run was disturbed."""
    with Library.open(library) as opened:
        opened.forget_missing()
        query = opened.query
        facts = "name, base_model, family, tier, rank_max, norm, fingerprint, tags"
        texts = "SELECT name, tags, words, path FROM texts ORDER BY path"
        return {
            "loras": query(f"SELECT key, {facts} FROM loras ORDER BY key"),
            "paths": query("SELECT * FROM paths ORDER BY path"),
            "vectors": query(
                "SELECT space, key, vector FROM vectors ORDER BY space, key"
            ),
            "texts": query(texts),
            "refused": query("SELECT * FROM refused ORDER BY path"),
            "waiting": query("SELECT path FROM waiting"),
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Kill indexing, and look what is lost."
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    sources = sorted(asked.folder.rglob("*.safetensors"))
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        figures = kill_and_resume(sources, Path(work), asked.kills, seed=asked.seed)
    figures["seconds"] = round(time.monotonic() - began)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
