"""The machine that measures: its facts, and how fast its memory and arithmetic are."""

import datetime
import json
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil

MACHINE = Path(__file__).parent / "machine.json"
LIBRARIES = ("jax", "numpy", "scikit-learn", "safetensors", "blake3")
# Facts by which two runs are on one machine with one set of libraries.
SAME = ("cpu", "cores", "system", "python", *LIBRARIES)
_COPIED = 2**29
_SIDE = 2048
_ROUNDS = 7


def describe() -> dict[str, Any]:
    """Facts and floors, without the name of the machine or of its owner."""
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
        "copy_gb_s": round(copy_speed(1) / 1e9, 1),
        "copy_all_cores_gb_s": round(copy_speed(os.cpu_count() or 1) / 1e9, 1),
        "sgemm_gflop_s": round(product_speed() / 1e9),
    }


def is_same(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether two runs may share a table."""
    return all(old.get(fact) == new.get(fact) for fact in SAME)


def read_machine() -> dict[str, Any]:
    return json.loads(MACHINE.read_text("utf-8")) if MACHINE.exists() else {}


def write_machine(facts: dict[str, Any]) -> None:
    MACHINE.write_text(json.dumps(facts, indent=2) + "\n", "utf-8")


def copy_speed(threads: int) -> float:
    """Bytes a second that a copy moves, read and written ones, as STREAM counts.

    Half a gigabyte is copied, more than any cache holds.
    """
    source, target = (np.ones(_COPIED // 4, "f4") for _ in range(2))
    parts = list(
        zip(
            np.array_split(target, threads),
            np.array_split(source, threads),
            strict=True,
        )
    )
    with ThreadPoolExecutor(threads) as pool:

        def copy() -> None:
            list(pool.map(lambda part: np.copyto(*part), parts))

        return 2 * _COPIED / _median_seconds(copy)


def product_speed() -> float:
    """Operations a second of a large float32 matrix product on all cores."""
    a, b = (np.ones((_SIDE, _SIDE), "f4") for _ in range(2))
    out = np.empty_like(a)
    return 2 * _SIDE**3 / _median_seconds(lambda: np.matmul(a, b, out=out))


def _median_seconds(work: Callable[[], Any]) -> float:
    work()
    seconds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))


def _cpu() -> str:
    """The processor's name, with the model number where the name says little."""
    facts: dict[str, str] = {}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        first = cpuinfo.read_text("utf-8").split("\n\n")[0].splitlines()
        facts = {key.strip(): value.strip() for key, _, value in _fields(first)}
    if "model name" not in facts:
        return platform.processor() or platform.machine()
    numbers = f"family {facts.get('cpu family')}, model {facts.get('model')}"
    return f"{facts['model name']} ({numbers})"


def _fields(lines: list[str]) -> list[tuple[str, str, str]]:
    return [line.partition(":") for line in lines]
