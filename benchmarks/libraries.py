"""Libraries to measure searching on, written without any file to read.

They lie in `.cache/benchmarks` and are written once. With their matrices they take 0.7
GB for 300,000 vectors of width 256, and 2.7 GB for a million of them with an index.
A library of entries has facts that were drawn; one of vectors has no entries at all.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from benchmarks.embeddings import Draw, independent
from benchmarks.lora_files import CACHE
from lorajax.library import (
    Facts,
    FileStamp,
    Library,
    Place,
    base_space,
    build_index,
)
from lorajax.library.store.schema import connect
from lorajax.library.vectors.rows import put_vector

# Raise it when other libraries are drawn, or the schema of libraries changes.
VERSION = 2
SPACE = "lorajax-zoo-1:bench:resampled"
BASE_SPACE = base_space("sdxl")
BASE_WIDTH = 1024
_BATCH = 10_000


def library_of_vectors(name: str, draw: Draw, count: int) -> Path:
    """A library with `count` drawn vectors of one space, and nothing else."""

    def write(path: Path) -> None:
        with closing(connect(path, create=True)) as connection:
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute("BEGIN")
            for i, row in enumerate(_drawn(draw, count)):
                put_vector(connection, SPACE, f"{i:08d}", row)
            connection.execute("COMMIT")

    return _kept(f"{name}-{count}", write)


def library_of_entries(count: int) -> Path:
    """A library with entries whose facts and base-space vectors were drawn."""

    def write(path: Path) -> None:
        rng = np.random.default_rng(count)
        with Library.open(path) as library:
            for i, row in enumerate(_drawn(independent(BASE_WIDTH), count)):
                path = Path(f"/loras/{i // 1000:03d}/{_name(rng, i)}.safetensors")
                stamp = FileStamp(int(rng.integers(10**7, 3 * 10**8)), i, i)
                facts = _facts(rng, i, path.stem)
                library.upsert(_key(i), facts, Place(path, stamp), {BASE_SPACE: row})

    return _kept(f"entries-{count}", write)


def indexed(path: Path) -> tuple[float, int]:
    """Builds the index of a library of vectors; (seconds, bytes)."""
    told = path.with_suffix(".json")
    before = json.loads(told.read_text("utf-8")) if told.exists() else 0.0
    with Library.open(path, create=False) as library:
        matrix, folder = library.matrix(SPACE), library.vectors_folder
        began = time.perf_counter()

        def say(done: int, total: int) -> None:
            """Seconds of builds that were interrupted count as well."""
            told.write_text(json.dumps(before + time.perf_counter() - began), "utf-8")
            if done % 50_000 == 0:
                print(f"index: {done} of {total}", flush=True)

        build_index(matrix, folder, say)
    size = sum(file.stat().st_size for file in folder.glob("*.usearch"))
    return json.loads(told.read_text("utf-8")), size


def _kept(name: str, write: Callable[[Path], None]) -> Path:
    """The library of a name, written to the end or not there."""
    folder = CACHE / f"library-{name}-v{VERSION}"
    path = folder / "library.sqlite"
    done = folder / "done"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob("library.sqlite*"):
            left.unlink()
        write(path)
        done.touch()
    return path


def _drawn(draw: Draw, count: int) -> Iterator[np.ndarray]:
    for start in range(0, count, _BATCH):
        rng = np.random.default_rng([count, start])
        yield from draw(rng, min(_BATCH, count - start))


def _key(number: int) -> str:
    return f"{number:064x}"


def _name(rng: np.random.Generator, number: int) -> str:
    words = rng.choice(["ink", "oil", "film", "neon", "paper", "glass", "fog"], 2)
    return f"{words[0]}-{words[1]}-{number:06d}"


def _facts(rng: np.random.Generator, number: int, name: str) -> Facts:
    rank = int(rng.choice([4, 8, 16, 32, 64, 128]))
    return Facts(
        name,
        "sdxl",
        format="kohya",
        dtype="fp16",
        rank_min=rank,
        rank_median=float(rank),
        rank_max=rank,
        modules_mapped=722,
        modules_total=722,
        norm=float(rng.lognormal()),
        tags=tuple(rng.choice(["style", "character", "concept", "photo"], 2)),
    )
