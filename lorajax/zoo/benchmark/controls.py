"""Controls: similarities that learn nothing, from a part of the weights or from all.

Each is a cosine of one long vector for each LoRA, made of a part for each module, and
is computed as a sum over modules of inner products. Their definitions were fixed before
they were first measured:

    norm_only         ‖ΔW‖ of every module
    spectrum_only     the singular values of ΔW of every module, padded with zeros
    down_only         the trained `down` as stored, padded with rows of zeros; of a
                      family without one nothing, so that it is like nothing
    raw_delta_cosine  ΔW itself

An absent module is a zero update.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from lorajax.adapters.adapter import read_adapter
from lorajax.adapters.algebra import spectrum
from lorajax.adapters.interface import Update
from lorajax.adapters.low_rank import LowRankUpdate

# Float32 numbers of one module that are stacked over all LoRAs at a time: 512 MiB.
STACKED = 2**27
Vector = Float[np.ndarray, " _"]
Modules = dict[str, list[Update | None]]


def control_similarities(
    files: Sequence[Path],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Float[np.ndarray, "b b"]]:
    """All controls between the LoRAs of these files; a zero vector is like nothing.

    Raises:
      LorajaxError: for a file that cannot be read.
    """
    modules = _read(files, on_progress)
    kernels = {name: np.zeros((len(files),) * 2) for name in (*PARTS, RAW)}
    for updates in modules.values():
        for name, part in PARTS.items():
            kernels[name] += _inner([part(update) for update in updates])
        kernels[RAW] += _inner_of_deltas(updates)
    return {name: _normalised(kernel) for name, kernel in kernels.items()}


def _read(files: Sequence[Path], on_progress: Callable[[int, int], None]) -> Modules:
    """Module → its update in every file, None where it is absent."""
    modules: Modules = {}
    for i, file in enumerate(files):
        for module, update in read_adapter(file).updates.items():
            modules.setdefault(module, [None] * len(files))[i] = update
        on_progress(i + 1, len(files))
    return modules


def _norm(update: Update | None) -> Vector:
    return np.sqrt([0.0 if update is None else update.squared_norm()])


def _spectrum(update: Update | None) -> Vector:
    return np.zeros(0) if update is None else spectrum(update)


def _down(update: Update | None) -> Vector:
    return update.down.ravel() if isinstance(update, LowRankUpdate) else np.zeros(0)


def _inner(vectors: Sequence[Vector]) -> Float[np.ndarray, "b b"]:
    """Inner products of all vectors, the shorter ones ending in zeros."""
    stacked = np.zeros((len(vectors), max(map(len, vectors))), np.float32)
    for row, vector in zip(stacked, vectors, strict=True):
        row[: len(vector)] = vector
    return (stacked @ stacked.T).astype("f8")


def _inner_of_deltas(updates: Sequence[Update | None]) -> Float[np.ndarray, "b b"]:
    """⟨ΔW_i, ΔW_j⟩ of one module, as many rows of ΔW at a time as memory allows."""
    out, in_ = next(update.shape for update in updates if update is not None)
    step = max(1, STACKED // (len(updates) * in_))
    total = np.zeros((len(updates),) * 2)
    for start in range(0, out, step):
        total += _inner(
            [_dense(update, start, min(start + step, out)) for update in updates]
        )
    return total


def _dense(update: Update | None, start: int, stop: int) -> Vector:
    if update is None:
        return np.zeros(0, np.float32)
    whole = (start, stop) == (0, update.shape[0])
    return (update if whole else update.rows(start, stop)).dense().ravel()


def _normalised(kernel: Float[np.ndarray, "b b"]) -> Float[np.ndarray, "b b"]:
    length = np.sqrt(np.diag(kernel))
    unit = np.where(length > 0, 1 / np.where(length > 0, length, 1), 0)
    return kernel * unit[:, None] * unit[None, :]


RAW = "raw_delta_cosine"
PARTS: dict[str, Callable[[Update | None], Vector]] = {
    "norm_only": _norm,
    "spectrum_only": _spectrum,
    "down_only": _down,
}
