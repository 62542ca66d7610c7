"""A folder of 10,000 files: what it costs to see that nothing changed, and to list it.

The files are the zoo's synthetic ones, small ones of a toy model: what is measured is
the work per file, not per byte. They are written and indexed once (some minutes).
"""

import shutil
from pathlib import Path

from benchmarks.conftest import Compare
from benchmarks.lora_files import CACHE, SD1, lora_files
from lorajax.service.collection.describing import glance
from lorajax.service.collection.indexing import index_folders
from lorajax.service.zoo.building import build

STYLES = 500
COUNT = 20 * STYLES
LIMIT_S = 10.0
ROUNDS = 5
FILES = 8


def bench_reindex_unchanged(compare: Compare) -> None:
    """Everything but the start of the process, which takes half a second."""
    folder, library = _indexed()

    def again(_: int) -> None:
        assert index_folders([folder], library).unchanged == COUNT

    what = f"re-index of {COUNT:,} unchanged files"
    compare.limit((what, again), LIMIT_S, ROUNDS)


def bench_header_pass(compare: Compare) -> None:
    """The pass that lists new files, against no more than reading them."""
    folder, _ = _indexed()
    paths = sorted(folder.rglob("*.safetensors"))[: COUNT // 10]
    ours = (f"headers of {len(paths):,} files", lambda _: list(map(glance, paths)))
    rival = ("Path.read_bytes", lambda _: [path.read_bytes() for path in paths])
    compare.times(ours, rival, ROUNDS)


def bench_header_of_sd1(compare: Compare) -> None:
    """Files of one size share names and shapes, as a collection's do."""
    paths = lora_files(SD1, FILES)
    ours = (f"headers of {FILES} sd1 files", lambda _: list(map(glance, paths)))
    rival = ("Path.read_bytes", lambda _: [path.read_bytes() for path in paths])
    compare.times(ours, rival, ROUNDS, ">= 20")


def _indexed() -> tuple[Path, Path]:
    """The folder and the library of all that is in it."""
    folder, library = CACHE / f"scale-{COUNT}", CACHE / f"scale-{COUNT}.sqlite"
    if not (folder / "zoo.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        build(Path("configs/zoo/scale.yaml"), folder, [f"zoo.styles={STYLES}"])
    index_folders([folder], library)
    return folder, library
