"""The file of a matrix: rows of an id and a unit vector, one after the other.

Nothing else is in the file. It is only appended to, so that whoever has mapped its
first rows keeps them while another process adds more. What it must hold is told by
digests that are kept elsewhere (`state`): a file that was cut, damaged or put there by
someone else does not have them. So nothing has to be flushed in any order either.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from blake3 import blake3
from jaxtyping import Float, Int

DIGEST_BYTES = 32
BLOCK_BYTES = 2**24
_UNIT_TOLERANCE = 1e-6


class Mapped(NamedTuple):
    """The rows of a file, read from disk as they are touched."""

    ids: Int[np.ndarray, " n"]
    rows: Float[np.ndarray, "n e"]


class WidthError(ValueError):
    """Vectors of one space have different lengths."""


def row_type(width: int) -> np.dtype:
    """An id and a vector. The products take its vectors where they lie, uncopied."""
    return np.dtype([("id", "<i8"), ("vector", "<f4", (width,))])


def packed(ids: list[int], vectors: list[bytes], width: int) -> np.ndarray:
    """Rows of the file, from ids and stored vectors.

    Raises:
      WidthError: where a vector has another width.
    """
    if any(len(vector) != 4 * width for vector in vectors):
        raise WidthError(f"expected vectors of {width} numbers, found another length")
    rows = np.empty(len(ids), row_type(width))
    rows["id"] = ids
    flat = np.frombuffer(b"".join(vectors), "<f4")
    rows["vector"] = unit(flat.reshape(len(ids), width))
    return rows


def unit(rows: Float[np.ndarray, "n e"]) -> Float[np.ndarray, "n e"]:
    """Rows of length one; rows that already are, as stored ones, pass uncopied."""
    norms = np.sqrt(np.einsum("ne,ne->n", rows, rows))
    if np.all(np.abs(norms - 1) < _UNIT_TOLERANCE):
        return rows
    return rows / np.maximum(norms, np.finfo(rows.dtype).tiny)[:, None]


def append(
    path: Path, start: int, width: int, batches: Iterable[np.ndarray], known: bytes
) -> tuple[int, bytes]:
    """Writes rows from row `start` on, over what a killed writer may have left.

    Args:
      known: the digests of the rows before.

    Returns:
      How many rows the file holds now, and the digests of them all.
    """
    size = row_type(width).itemsize
    count = start
    with path.open("r+b" if start else "xb") as file:
        file.seek(start * size)
        for rows in batches:
            file.write(rows.tobytes())
            count += len(rows)
    whole = start * size // BLOCK_BYTES  # blocks that no new row lies in
    return count, known[: whole * DIGEST_BYTES] + _digests(path, whole, count * size)


def mapped(path: Path, width: int, count: int, digests: bytes) -> Mapped | None:
    """The first `count` rows of a file, or None where it does not hold them."""
    kind = row_type(width)
    size = count * kind.itemsize
    try:
        if path.stat().st_size < size or _digests(path, 0, size) != digests:
            return None
        held = np.memmap(path, kind, "r", shape=(count,))
    except OSError:
        return None
    return Mapped(np.array(held["id"]), np.asarray(held["vector"]))


def file_digest(path: Path) -> bytes:
    """BLAKE3 of a whole file."""
    digest = blake3(max_threads=blake3.AUTO)
    return digest.update_mmap(path).digest()


def _digests(path: Path, first: int, end: int) -> bytes:
    """BLAKE3 of every block of a file from the block `first` up to the byte `end`."""
    found = []
    buffer = bytearray(min(BLOCK_BYTES, max(0, end - first * BLOCK_BYTES)))
    with path.open("rb", buffering=0) as file:
        file.seek(first * BLOCK_BYTES)
        for start in range(first * BLOCK_BYTES, end, BLOCK_BYTES):
            block = memoryview(buffer)[: end - start]
            file.readinto(block)
            found.append(blake3(block, max_threads=blake3.AUTO).digest())
    return b"".join(found)
