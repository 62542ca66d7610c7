"""Bringing modules of loud and of quiet LoRAs closer, before anything is fitted."""

import numpy as np
from jaxtyping import Float

from lorajax.config.features import Scaling


def scale_factors(
    norms: Float[np.ndarray, "*b"], scale: Scaling
) -> Float[np.ndarray, "*b"]:
    """What updates of these norms are multiplied by; 0 for a norm of 0.

    >>> scale_factors(np.array([4.0, 0.0]), "root").tolist()
    [0.5, 0.0]
    """
    safe = np.where(norms > 0, norms, 1.0)
    powers = {"none": 0.0, "root": -0.5, "unit": -1.0}
    return np.where(norms > 0, safe ** powers[scale], 0.0).astype(norms.dtype)


def scale_factor(vector: Float[np.ndarray, " d"], scale: Scaling) -> float:
    """The same for one update by itself."""
    return float(scale_factors(np.array([np.linalg.norm(vector)]), scale)[0])
