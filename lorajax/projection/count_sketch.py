"""Cores of many modules added up in one vector that keeps their inner products.

Every number goes, with a random sign, to one of the vector's random places. That is
linear, unbiased, as exact as a dense random projection of the same width, and needs a
few bytes a number instead of a matrix.

Reference: M. Charikar, K. Chen and M. Farach-Colton, 2002.
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from blake3 import blake3
from jaxtyping import Float, Int


def count_sketch(
    cores: Mapping[str, Float[np.ndarray, " c"]], purpose: str, width: int
) -> Float[np.ndarray, " e"]:
    """Σ over modules and their numbers of ± the number at a random place.

    Args:
      purpose: with a module's name it settles places and signs, for ever.
      width: of the vector, at most 32,768.
    """
    drawn = [
        _places(f"{module}/{purpose}", len(core), width)
        for module, core in cores.items()
    ]
    places, signs = zip(*drawn, strict=True)
    numbers = np.concatenate(list(cores.values())) * np.concatenate(signs)
    return np.bincount(np.concatenate(places), numbers, width)


@lru_cache(maxsize=16384)
def _places(
    name: str, count: int, width: int
) -> tuple[Int[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """Places and signs of a core's numbers, the same on every machine."""
    seed = int.from_bytes(blake3(name.encode("utf-8")).digest()[:16], "little")
    words = np.random.PCG64(seed).random_raw(count)
    places = (words % np.uint64(width)).astype(np.int16)
    return places, np.where(words >> np.uint64(63), 1.0, -1.0).astype("f4")
