"""Searching a large library: times, memory, and what an index misses.

The vectors are embeddings of held-out LoRAs of the bench collection with the noise that
LoRAs of one style have (`benchmarks.embeddings`); queries are drawn around embeddings
that the library's vectors were not drawn around. Independent vectors have no neighbours
worth the name, and an index does not find the nearest of them: their rows say how much.
"""

import json
import shutil
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.conftest import Compare
from benchmarks.embeddings import Draw, independent, read_embeddings, resampled
from benchmarks.libraries import SPACE, indexed, library_of_entries, library_of_vectors
from benchmarks.library_process import measure
from lorajax.library import Library, Matrix, search

EXACT, INDEXED, ENTRIES = 300_000, 1_000_000, 100_000
ROUNDS, QUERIES, K = 40, 500, 10
PROCESSES = 3


def bench_search_exact_300k(compare: Compare) -> None:
    matrix, queries = _matrix("resampled", EXACT), _queries("resampled")
    seconds = _timed(matrix, queries[:ROUNDS], exactly=True)
    compare.within(("exact search, 300,000 x 256", seconds), ("50 ms", 0.05))


def bench_search_exact_vs_numpy(compare: Compare) -> None:
    """The matrix on disk against the same numbers side by side in memory."""
    matrix, queries = _matrix("resampled", EXACT), _queries("resampled")
    held = np.ascontiguousarray(matrix.rows)

    def in_memory(number: int) -> None:
        cosines = held @ queries[number]
        best = np.argpartition(-cosines, K)[:K]
        best[np.argsort(-cosines[best])]

    compare.times(
        (
            "exact search, 300,000 x 256, on disk",
            lambda i: search(matrix, queries[[i]], K, exactly=True),
        ),
        ("a product in memory and argpartition", in_memory),
        ROUNDS,
    )


def bench_search_index_1m(compare: Compare) -> None:
    seconds, size = indexed(_library("resampled", INDEXED))
    times = _timed(_matrix("resampled", INDEXED), _queries("resampled"))
    what = (
        f"search by an index, 1,000,000 x 256; built in {seconds / 60:.0f} minutes, "
        f"{size / 1e6:.0f} MB"
    )
    compare.within((what, times), ("10 ms", 0.01))


def bench_search_index_1m_recall(compare: Compare) -> None:
    indexed(_library("resampled", INDEXED))
    compare.share(("recall@10", _recall("resampled")), "exact search", ">= 0.99")


def bench_search_index_1m_independent(compare: Compare) -> None:
    seconds, _ = indexed(_library("independent", INDEXED))
    times = _timed(_matrix("independent", INDEXED), _queries("independent"))
    what = f"the same, independent vectors; built in {seconds / 60:.0f} minutes"
    compare.within((what, times), ("10 ms", 0.01))


def bench_search_index_1m_independent_recall(compare: Compare) -> None:
    indexed(_library("independent", INDEXED))
    what = "recall@10, independent vectors"
    compare.share((what, _recall("independent")), "exact search")


def bench_library_open_100k(compare: Compare) -> None:
    found = [_process()[number]["open_s"] for number in range(1, PROCESSES)]
    what = "a new process opens 100,000 entries and checks their 1024-wide vectors"
    compare.within((what, found), ("1 s", 1.0))


def bench_library_search_100k(compare: Compare) -> None:
    found = [s for document in _process()[1:] for s in document["search_s"]]
    what = "search of 100,000 entries, from a key to named neighbours"
    compare.within((what, found), ("50 ms", 0.05))


def bench_library_memory_100k(compare: Compare) -> None:
    """The first process also writes the matrix."""
    assert not any(document["jax"] for document in _process())
    peaks = [document["peak"] for document in _process()]
    what = "peak of a process that opens and searches 100,000 entries"
    compare.memory((what, peaks), ("1 GB", 1_000_000_000), "<= 1.0")


@cache
def _process() -> list[dict[str, Any]]:
    """What several processes measured, the first of which found no matrix."""
    path = library_of_entries(ENTRIES)
    with Library.open(path, create=False) as library:
        shutil.rmtree(library.vectors_folder, ignore_errors=True)
    found = [measure(path) for _ in range(PROCESSES)]
    print(
        json.dumps([{**f, "search_s": float(np.median(f["search_s"]))} for f in found])
    )
    return found


def _draw(kind: str, queries: bool) -> Draw:
    embeddings = read_embeddings()
    if kind == "independent":
        return independent(embeddings.width)
    return resampled(embeddings, queries)


def _queries(kind: str) -> np.ndarray:
    return _draw(kind, queries=True)(np.random.default_rng(7), QUERIES)


def _library(kind: str, count: int) -> Path:
    return library_of_vectors(kind, _draw(kind, queries=False), count)


def _matrix(kind: str, count: int) -> Matrix:
    with Library.open(_library(kind, count), create=False) as library:
        return library.matrix(SPACE)


def _timed(matrix: Matrix, queries: np.ndarray, exactly: bool = False) -> list[float]:
    """Seconds of every query, one after the other; the first does not count."""
    seconds = []
    for query in [queries[0], *queries]:
        began = time.perf_counter()
        found = search(matrix, query[None], K, exactly=exactly)
        seconds.append(time.perf_counter() - began)
        assert found.approximate != exactly
    return seconds[1:]


def _recall(kind: str) -> float:
    """Share of the true ten nearest that the index finds, over held-out queries."""
    matrix, queries = _matrix(kind, INDEXED), _queries(kind)
    proposed = np.concatenate([search(matrix, q[None], K).ids for q in queries])
    truth = search(matrix, queries, K, exactly=True).ids
    pairs = zip(proposed.tolist(), truth.tolist(), strict=True)
    return float(np.mean([len(set(a) & set(b)) / K for a, b in pairs]))
