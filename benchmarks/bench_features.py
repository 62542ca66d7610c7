"""From the path of a file to its final scores: the time, in a warm process.

The files lie in the page cache. Several of different contents take turns, and the
rival's round always has another file than ours: neither finds in the processor's cache
what the other has just read.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.conftest import Compare, Timed
from benchmarks.lora_files import FLUX, SD1, SDXL, Kind, lora_files
from benchmarks.ours import default_basis, features_of, features_of_many
from benchmarks.rivals import (
    PaperRoute,
    canonical_factors,
    hash_bytes,
    read_bytes,
    read_into,
)

FILES = 8
LARGE_FILES = 3
FAST_ROUNDS = 32
SLOW_ROUNDS = 9
PAPER_BOUND = 2 * 2**30


def bench_features_vs_read(compare: Compare) -> None:
    paths = lora_files(SD1, FILES)
    rival = ("Path.read_bytes", _in_turn(paths, read_bytes))
    compare.times(_features(SD1, paths), rival, FAST_ROUNDS, "<= 3.0")


def bench_features_vs_read_into_buffer(compare: Compare) -> None:
    paths = lora_files(SD1, FILES)
    buffer = bytearray(max(path.stat().st_size for path in paths))
    read = _in_turn(paths, lambda path: read_into(path, buffer))
    rival = ("readinto a buffer that is used again", read)
    compare.times(_features(SD1, paths), rival, FAST_ROUNDS)


def bench_features_vs_hash(compare: Compare) -> None:
    paths = lora_files(SD1, FILES)
    held = {path: path.read_bytes() for path in paths}
    hashed = _in_turn(paths, lambda path: hash_bytes(held[path]))
    rival = ("BLAKE3 of bytes in memory, one thread", hashed)
    compare.times(_features(SD1, paths), rival, FAST_ROUNDS)


def bench_features_vs_qr_svd(compare: Compare) -> None:
    paths = lora_files(SD1, FILES)
    canonical = _in_turn(paths, lambda path: canonical_factors(path, SD1))
    rival = ("QR + SVD of every module, NumPy float32", canonical)
    compare.times(_features(SD1, paths), rival, SLOW_ROUNDS, ">= 15")


def bench_features_vs_paper_time(compare: Compare) -> None:
    paths = lora_files(SD1, FILES)
    bound = min(PAPER_BOUND, psutil.virtual_memory().available // 4)
    route = PaperRoute.within(SD1, bound)
    what = (
        f"materialise + flatten + IncrementalPCA, {len(route.chosen)} modules "
        f"x {route.scale:.1f}"
    )
    rival = (what, _in_turn(paths, route.scores))
    ours = _features(SD1, paths)
    compare.times(ours, rival, SLOW_ROUNDS, ">= 50", rival_scale=route.scale)


def bench_features_sdxl_vs_read(compare: Compare) -> None:
    _large(compare, SDXL)


def bench_features_flux_vs_read(compare: Compare) -> None:
    _large(compare, FLUX)


def bench_features_stream_vs_read(compare: Compare) -> None:
    paths = lora_files(SD1, FILES)
    basis = default_basis(SD1)
    ours = (
        f"features of {FILES} SD1.5 files in one go",
        lambda _: features_of_many(paths, basis),
    )
    rival = (
        f"Path.read_bytes of {FILES} files",
        lambda _: [read_bytes(path) for path in paths],
    )
    compare.times(ours, rival, SLOW_ROUNDS)


def _large(compare: Compare, kind: Kind) -> None:
    paths = lora_files(kind, LARGE_FILES)
    rival = ("Path.read_bytes", _in_turn(paths, read_bytes))
    compare.times(_features(kind, paths), rival, SLOW_ROUNDS)


def _features(kind: Kind, paths: list[Path]) -> tuple[str, Timed]:
    """What is ours: each round has another file, and never the rival's."""
    basis = default_basis(kind)
    half = len(paths) // 2
    shifted = paths[half:] + paths[:half]
    # The first of all files pays for what a process does once.
    features_of(paths[0], basis)
    what = f"features of one {kind.base_model} file of rank {kind.rank}"
    return what, _in_turn(shifted, lambda path: features_of(path, basis))


def _in_turn(paths: list[Path], work: Callable[[Path], Any]) -> Timed:
    return lambda number: work(paths[number % len(paths)])
