"""Where two LoRAs agree: what every module adds to the cosine of their vectors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.algebra import inner
from lorajax.adapters.interface import Update
from lorajax.errors import ProjectionError


@dataclass(frozen=True, slots=True)
class ModulePair:
    """One module in two LoRAs.

    Attributes:
      norms: Frobenius norms of the two updates; 0 where one changes nothing there.
      cosine: ⟨ΔW, ΔW′⟩ / (‖ΔW‖ ‖ΔW′‖) up to rounding; None where one of them is zero.
    """

    module: str
    norms: tuple[float, float]
    cosine: float | None


def pair_modules(first: Adapter, second: Adapter) -> tuple[ModulePair, ...]:
    """Every module that either of two LoRAs changes, in the order of the base model.

    Raises:
      ProjectionError: for LoRAs of several base models, or numbers beyond float32.
    """
    if first.base_model != second.base_model:
        raise ProjectionError(
            f"expected LoRAs of one base model, found {first.name} of "
            f"{first.base_model} and {second.name} of {second.base_model}"
        )
    pairs: list[ModulePair] = []
    with np.errstate(all="ignore"):
        for module in _in_order(list(first.updates), list(second.updates)):
            one, other = first.updates.get(module), second.updates.get(module)
            norms, cosine = (norm_of(one), norm_of(other)), None
            if one is not None and other is not None and all(norms):
                cosine = inner(one, other) / (norms[0] * norms[1])
            pairs.append(ModulePair(module, norms, cosine))
    numbers = (n for pair in pairs for n in (*pair.norms, pair.cosine or 0.0))
    if not all(map(math.isfinite, numbers)):
        raise ProjectionError(
            f"{first.name} and {second.name}: expected products that are numbers, "
            "found NaN or Inf",
            "their updates are too large: the training diverged",
        )
    return tuple(pairs)


def norm_of(update: Update | None) -> float:
    """‖ΔW‖ of a module; 0 where there is no update."""
    return 0.0 if update is None else math.sqrt(max(0.0, update.squared_norm()))


def base_contributions(pairs: Sequence[ModulePair]) -> dict[str, float]:
    """What modules add to the cosine that the base space estimates.

    There every module is brought to the root of its length, so that it is the sum of
    √(‖ΔWₘ‖ ‖ΔW′ₘ‖) cosₘ, by the root of the two sums of lengths. The stored vectors
    differ from it by the error of their sketches and of adding up, about 1/32.
    """
    sums = [sum(pair.norms[side] for pair in pairs) for side in (0, 1)]
    scale = math.sqrt(sums[0] * sums[1])
    return {
        pair.module: math.sqrt(pair.norms[0] * pair.norms[1])
        * (pair.cosine or 0.0)
        / scale
        for pair in pairs
    }


def contributions(
    first: Float[np.ndarray, "n e"], second: Float[np.ndarray, "n e"]
) -> Float[np.ndarray, " n"]:
    """What modules add to the cosine of two sums of their parts, whose sum it is.

    Parts of different modules may have something in common; half of it goes to either:
    ½ (pₘ · Σ p′ + p′ₘ · Σ p) for parts p and p′.
    """
    return (first @ second.sum(0) + second @ first.sum(0)) / 2


def _in_order(ours: list[str], theirs: list[str]) -> list[str]:
    """All modules of two lists, each of which is in the order of the base model."""
    known, merged, start = set(ours), [], 0
    for module in ours:
        if module in theirs[start:]:
            stop = theirs.index(module, start)
            merged += [other for other in theirs[start:stop] if other not in known]
            start = stop + 1
        merged.append(module)
    return merged + [other for other in theirs[start:] if other not in known]
