"""A small linear image of a whole update, to tell copies of it from other updates.

z is the count sketch of every module's core Ωₗᵀ ΔWₘ Ωᵣ: linear in ΔW, so that scaled
copies lie on one ray, a merge lies in the plane of its parents, and ‖z − c z′‖ is about
‖ΔW − c ΔW′‖. Unlike in the base space, modules weigh as much as their updates do.
"""

import numpy as np
from jaxtyping import Float

from lorajax.adapters.adapter import Adapter, check_vector
from lorajax.errors import ProjectionError
from lorajax.projection.count_sketch import count_sketch
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
        # Divided by the norm first, so that squares of large updates stay numbers.
        shares = {module: core / adapter.norm for module, core in cores.items()}
        vector = count_sketch(shares, "whole", WIDTH)
        length = np.linalg.norm(vector)
    if not 0 < length < np.inf:
        raise ProjectionError(
            f"{adapter.name}: expected an update with a direction, found a sketch of "
            f"length {length}",
            "the training diverged or the file is damaged: use an earlier checkpoint",
        )
    return vector.astype("f4")
