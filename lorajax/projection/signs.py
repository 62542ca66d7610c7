"""Seeded ±1 matrices that are the same on every machine and in every release.

They are drawn as raw bits of PCG64, whose stream NumPy guarantees (the distributions
of `numpy.random.Generator` may change), seeded by a hash of a name.
"""

from functools import lru_cache

import numpy as np
from blake3 import blake3
from jaxtyping import Float


@lru_cache(maxsize=4096)
def sign_matrix(
    name: str, rows: int, columns: int
) -> Float[np.ndarray, "rows columns"]:
    """A ±1/√columns matrix of a name: E[S Sᵀ] is the identity.

    Args:
      name: what the matrix is for; equal names and sizes give equal matrices.
      rows: dimension of what is projected.
      columns: dimension it is projected to.
    """
    seed = int.from_bytes(blake3(name.encode("utf-8")).digest()[:16], "little")
    words = np.random.PCG64(seed).random_raw((rows * columns + 63) // 64)
    bits = np.unpackbits(words.astype("<u8").view(np.uint8))[: rows * columns]
    signs = bits.astype("f4") * 2.0 - 1.0
    matrix = signs.reshape(rows, columns) / np.float32(np.sqrt(columns))
    matrix.setflags(write=False)
    return matrix
