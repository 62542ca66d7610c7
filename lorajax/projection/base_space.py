"""The base space: a vector for any LoRA without a fitted basis or a trained model.

Every module's sketch is brought to length one, and all of them are added up through
one seeded ±1 projection each, which is the seeded projection of their concatenation.
Nothing is fitted, so one file is enough and vectors never change as a library grows.
"""

import numpy as np
from jaxtyping import Float

from lorajax.adapters.adapter import Adapter, check_vector
from lorajax.errors import ProjectionError
from lorajax.projection.signs import sign_matrix
from lorajax.projection.sketch import sketch_adapter

VERSION = "base-space-1"
SIDE = 8
WIDTH = 1024


def base_space_vector(adapter: Adapter) -> Float[np.ndarray, " e"]:
    """The unit vector of a LoRA in the fit-free space of its base model.

    The cosine of two such vectors estimates the mean over modules of the cosines of
    their updates. Its standard error is about 1/√WIDTH from the common projection, and
    1/SIDE over the root of the number of modules from the sketches.

    Raises:
      ProjectionError: where numbers too large or too small leave no direction.
      AdapterError: for an operator, which has no update.
    """
    check_vector(adapter)
    vector = np.zeros(WIDTH)
    with np.errstate(all="ignore"):
        for module, core in sorted(sketch_adapter(adapter, SIDE).items()):
            norm = np.linalg.norm(core)
            if norm != 0:
                signs = sign_matrix(f"{module}/base", len(core), WIDTH)
                vector += (core / norm) @ signs
        length = np.linalg.norm(vector)
    if not 0 < length < np.inf:
        raise ProjectionError(
            f"{adapter.name}: expected an update with a direction, found a sketch of "
            f"length {length}",
            "the training diverged or the file is damaged: use an earlier checkpoint",
        )
    return (vector / length).astype("f4")
