"""JAX, made ready once per process, before anything imports it."""

import os
from pathlib import Path

import platformdirs
import psutil


def cache_dir() -> Path:
    """Where lorajax keeps what can be made again; `LORAJAX_CACHE` moves it."""
    return Path(
        os.environ.get("LORAJAX_CACHE")
        or platformdirs.user_cache_dir("lorajax", appauthor=False)
    )


def prepare_jax() -> None:
    """Keeps compiled functions between processes and leaves a screen its core.

    `LORAJAX_THREADS` bounds the compute threads, where the system can bind a process
    to cores (not on macOS).
    """
    threads = os.environ.get("LORAJAX_THREADS", "")
    process = psutil.Process()
    if threads.isdigit() and int(threads) > 0 and hasattr(process, "cpu_affinity"):
        process.cpu_affinity(process.cpu_affinity()[: int(threads)])
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_dir() / "compiled"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
