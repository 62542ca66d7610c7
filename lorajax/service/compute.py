"""JAX, made ready once per process, before anything imports it."""

import ctypes
import os
import platform
from pathlib import Path

import platformdirs
import psutil

# Names and numbers of malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


def cache_dir() -> Path:
    """Where lorajax keeps what can be made again; `LORAJAX_CACHE` moves it."""
    return Path(
        os.environ.get("LORAJAX_CACHE")
        or platformdirs.user_cache_dir("lorajax", appauthor=False)
    )


def keep_freed_memory() -> None:
    """Lets glibc keep what is freed instead of giving it back page by page.

    XLA frees its buffers after every step and asks for them again in the next; where
    each is mapped anew, a quarter of a training's time goes to the kernel. Memory then
    stays with the process until it ends. Nothing happens on other C libraries.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_MAX, 0)
    libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    libc.mallopt(_M_ARENA_MAX, 1)


def compute_threads() -> int:
    """`LORAJAX_THREADS`, or as many as the process may use cores."""
    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):
        cores = len(process.cpu_affinity())
    else:
        cores = os.cpu_count() or 1
    return _asked_threads() or cores


def _asked_threads() -> int:
    """`LORAJAX_THREADS`; 0 where it says nothing."""
    text = os.environ.get("LORAJAX_THREADS", "")
    return int(text) if text.isdecimal() else 0


def prepare_jax() -> None:
    """Keeps compiled functions between processes and leaves a screen its core.

    `LORAJAX_THREADS` bounds the compute threads, where the system can bind a process
    to cores (not on macOS). NumPy's products stay on one thread unless the environment
    says otherwise: OpenBLAS's threads go on waiting in a circle when they are done, and
    XLA's find no core; with other work on the machine that costs up to ten times.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    threads, process = _asked_threads(), psutil.Process()
    if threads and hasattr(process, "cpu_affinity"):
        process.cpu_affinity(process.cpu_affinity()[:threads])
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_dir() / "compiled"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
