"""Where two LoRAs agree: what every module adds to the cosine of their vectors."""

import math

import numpy as np
from jaxtyping import Float

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.algebra import inner
from lorajax.errors import ProjectionError


def module_cosines(first: Adapter, second: Adapter) -> dict[str, float]:
    """⟨ΔW, ΔW′⟩ / (‖ΔW‖ ‖ΔW′‖) of every module that both have, exactly.

    Raises:
      ProjectionError: for LoRAs of several base models, or numbers beyond float32.
    """
    if first.base_model != second.base_model:
        raise ProjectionError(
            f"expected LoRAs of one base model, found {first.name} of "
            f"{first.base_model} and {second.name} of {second.base_model}"
        )
    cosines: dict[str, float] = {}
    with np.errstate(all="ignore"):
        for module, update in first.updates.items():
            if module in second.updates:
                other = second.updates[module]
                lengths = math.sqrt(update.squared_norm() * other.squared_norm())
                cosines[module] = inner(update, other) / lengths if lengths else 0.0
    if not all(map(math.isfinite, cosines.values())):
        raise ProjectionError(
            f"{first.name} and {second.name}: expected products that are numbers, "
            "found NaN or Inf",
            "their updates are too large: the training diverged",
        )
    return cosines


def module_shares(adapter: Adapter) -> dict[str, float]:
    """‖ΔWₘ‖² / ‖ΔW‖² of every live module; the sum is one."""
    squared = {m: update.squared_norm() for m, update in adapter.updates.items()}
    whole = sum(squared.values())
    return {module: number / whole for module, number in squared.items()}


def base_contributions(
    first: Adapter, second: Adapter, cosines: dict[str, float]
) -> dict[str, float]:
    """What modules add to the cosine that the base space estimates.

    There every live module counts alike, so that it is the sum of the modules' cosines
    by √(M M′), the numbers of live modules. The stored vectors differ from it by the
    error of their sketches and of their projection, about 1/32.
    """
    scale = math.sqrt(len(first.updates) * len(second.updates))
    return {module: cosine / scale for module, cosine in cosines.items()}


def contributions(
    first: Float[np.ndarray, "n e"], second: Float[np.ndarray, "n e"]
) -> Float[np.ndarray, " n"]:
    """What modules add to the cosine of two sums of their parts, whose sum it is.

    Parts of different modules may have something in common; half of it goes to either:
    ½ (pₘ · Σ p′ + p′ₘ · Σ p) for parts p and p′.
    """
    return (first @ second.sum(0) + second @ first.sum(0)) / 2
