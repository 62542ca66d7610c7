"""The base space: a vector for any LoRA without a fitted basis or a trained model.

Every module's sketch is brought to the root of its length, so that modules count for
more where the update is strong and yet no few of them decide alone; all of them are
added up in one vector. Nothing is fitted, so one file is enough and vectors never
change as a library grows.
"""

import numpy as np
from jaxtyping import Float

from lorajax.adapters.adapter import Adapter, check_vector
from lorajax.errors import ProjectionError
from lorajax.projection.count_sketch import count_sketch
from lorajax.projection.sketch import sketch_adapter

VERSION = "base-space-2"
SIDE = 16
WIDTH = 1024


def base_space_vector(adapter: Adapter) -> Float[np.ndarray, " e"]:
    """The unit vector of a LoRA in the fit-free space of its base model.

    The cosine of two such vectors estimates the mean over modules of the cosines of
    their updates, each weighed by √(‖ΔWₘ‖ ‖ΔW′ₘ‖). Its standard error is about
    1/√WIDTH from adding up, and 1/SIDE over the root of the number of modules from the
    sketches.

    Raises:
      ProjectionError: where numbers too large or too small leave no direction.
      AdapterError: for an operator, which has no update.
    """
    check_vector(adapter)
    with np.errstate(all="ignore"):
        cores = sketch_adapter(adapter, SIDE)
        roots = {module: _root(core.astype("f8")) for module, core in cores.items()}
        vector = count_sketch(roots, "base", WIDTH)
        length = np.linalg.norm(vector)
        if not 0 < length < np.inf:
            raise ProjectionError(
                f"{adapter.name}: expected an update with a direction, found a sketch "
                f"of length {length}",
                "the training diverged or the file is damaged: use an earlier "
                "checkpoint",
            )
        return (vector / length).astype("f4")


def _root(core: Float[np.ndarray, " c"]) -> Float[np.ndarray, " c"]:
    """The core at the root of its length; a sketch of nothing stays that."""
    length = np.linalg.norm(core)
    return core / np.sqrt(length) if length else core
