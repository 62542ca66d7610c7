"""A small linear image of a whole update, to tell copies of it from other updates.

Every number of every module's core Ωₗᵀ ΔWₘ Ωᵣ is added, with a random sign, to one of
512 random places: linear in ΔW, so that scaled copies lie on one ray, a merge lies in
the plane of its parents, and ‖z − c z′‖ estimates ‖ΔW − c ΔW′‖. Unlike in the base
space, modules weigh as much as their updates do.

Reference: M. Charikar, K. Chen and M. Farach-Colton, 2002 (count sketch).
"""

from functools import lru_cache

import numpy as np
from blake3 import blake3
from jaxtyping import Float, Int

from lorajax.adapters.adapter import Adapter, check_vector
from lorajax.errors import ProjectionError
from lorajax.projection.sketch import sketch_adapter

SIDE = 8
WIDTH = 512


def whole_sketch(adapter: Adapter) -> Float[np.ndarray, " e"]:
    """z / ‖ΔW‖, of a length near one; times the adapter's norm it is linear in ΔW.

    The cosine of two such vectors estimates that of the whole updates. The estimated
    distance of near ones is off by about a quarter of it at 30 modules of rank 3, by
    less where there are more.

    Raises:
      ProjectionError: where numbers too large or too small leave no direction.
      AdapterError: for an operator, which has no update.
    """
    check_vector(adapter)
    with np.errstate(all="ignore"):
        cores = sketch_adapter(adapter, SIDE)
        places, signs = zip(*map(_places, cores), strict=True)
        # Divided by the norm first, so that squares of large updates stay numbers.
        numbers = np.concatenate(list(cores.values())) / adapter.norm
        vector = np.bincount(
            np.concatenate(places), numbers * np.concatenate(signs), WIDTH
        )
        length = np.linalg.norm(vector)
    if not 0 < length < np.inf:
        raise ProjectionError(
            f"{adapter.name}: expected an update with a direction, found a sketch of "
            f"length {length}",
            "the training diverged or the file is damaged: use an earlier checkpoint",
        )
    return vector.astype("f4")


@lru_cache(maxsize=16384)
def _places(module: str) -> tuple[Int[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """Where the numbers of a module's core go, and their signs; for ever the same."""
    seed = int.from_bytes(blake3(f"{module}/whole".encode()).digest()[:16], "little")
    words = np.random.PCG64(seed).random_raw(SIDE * SIDE)
    places = (words % WIDTH).astype(np.int16)
    return places, np.where(words >> np.uint64(63), 1.0, -1.0).astype("f4")
