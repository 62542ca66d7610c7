"""A short name of what a LoRA does, made so that two names tell how far apart they are.

Each module's ΔW is asked for 16 numbers aₖᵀ ΔW bₖ with fixed random signs aₖ, bₖ, and
those of all modules are added up. They are functions of ΔW alone: gauge, rank, number
format, dialect and modules of zero do not show. The difference of two updates' numbers
estimates the difference of the updates, whatever that is: the mean square over k is
‖ΔW − ΔW′‖² in expectation.

Rounding has borders, so no hash of rounded numbers is the same for the same update
written twice. This name does not pretend to be: its last digits may differ, and
`compare` counts how far. Written down are the direction, 16 numbers of ΔW / ‖ΔW‖ to
12 bits each, and apart from it the strength ‖ΔW‖: a scaled copy is known as one.

References:
  W. B. Johnson and J. Lindenstrauss, 1984; D. Achlioptas, 2003 (random signs).
"""

import math
from dataclasses import dataclass
from hashlib import shake_256

import numpy as np
from jaxtyping import Float

from lorajax.adapters.adapter import Adapter, check_vector
from lorajax.errors import AdapterError
from lorajax.formats.text import shown

NUMBERS = 16
# Codes reach from -LARGEST to LARGEST; a direction's numbers have variance 1, and the
# few that lie further out count as the border.
LARGEST = 2047
STEP = 8 / LARGEST
# The strength's code is log2 ‖ΔW‖ in steps of 0.27 %, 2^-112 to 2^144.
_STRENGTH_STEPS = 256
_STRENGTH_ZERO = 112 * _STRENGTH_STEPS
# Casting factors to bfloat16 moves a direction by about 0.002, the codes as much again.
# Two late checkpoints of a real run lie 0.025 apart, early ones 0.2 and more.
TOLERANCE = 0.01


@dataclass(frozen=True)
class Fingerprint:
    """What an update is, in few numbers.

    Attributes:
      direction: `NUMBERS` codes of ΔW / ‖ΔW‖, in steps of `STEP`.
      strength: the code of ‖ΔW‖.
    """

    direction: tuple[int, ...]
    strength: int

    def __str__(self) -> str:
        """Four digits of strength, a dash, and three for each number of direction."""
        codes = (f"{code + LARGEST + 1:03x}" for code in self.direction)
        return f"{self.strength:04x}-{''.join(codes)}"

    @property
    def norm(self) -> float:
        """‖ΔW‖ as far as the code tells."""
        return 2.0 ** ((self.strength - _STRENGTH_ZERO) / _STRENGTH_STEPS)


@dataclass(frozen=True)
class Comparison:
    """How two updates differ.

    Attributes:
      difference: estimates ‖U − V‖ of the two directions, 0 for the same, √2 for
        unrelated ones; true values below `STEP` are not told from 0.
      ratio: the second's strength by the first's.
    """

    difference: float
    ratio: float

    def is_same(self, tolerance: float = TOLERANCE) -> bool:
        """Whether the updates are one, up to the rounding of their numbers."""
        return self.difference <= tolerance and abs(self.ratio - 1) <= tolerance

    def is_scaled(self, tolerance: float = TOLERANCE) -> bool:
        """Whether one is the other at another strength."""
        return self.difference <= tolerance and not self.is_same(tolerance)


def fingerprint(adapter: Adapter) -> Fingerprint:
    """The fingerprint of an adapter's mapped modules; of DoRA without its magnitudes.

    Raises:
      AdapterError: for an operator, which has no update without base weights, and for
        an update whose norm is no number above 0 or whose numbers are too large.
    """
    check_vector(adapter)
    norm = adapter.norm
    if not 0 < norm < math.inf:
        raise AdapterError(
            f"{shown(adapter.path)}: expected a norm above 0, found {norm}"
        )
    # Half of the norm goes to either side, so that nothing leaves float32 on the way.
    half, total = math.sqrt(norm), np.zeros(NUMBERS)
    for module, update in adapter.updates.items():
        left, right = _signs(f"{adapter.base_model}/{module}", *update.shape)
        with np.errstate(all="ignore"):
            rows = update.matmul(right / np.float32(half))
            total += np.einsum("ok,ok->k", left, rows, dtype="f8")
    total /= half
    if not np.all(np.isfinite(total)):
        raise AdapterError(
            f"{shown(adapter.path)}: expected an update within float32, found one "
            f"beyond it, of norm {norm:.3g}"
        )
    codes = np.clip(np.round(total / STEP), -LARGEST, LARGEST)
    strength = round(_STRENGTH_ZERO + _STRENGTH_STEPS * math.log2(norm))
    return Fingerprint(
        tuple(int(code) for code in codes), min(max(strength, 0), 2**16 - 1)
    )


def parse_fingerprint(text: str) -> Fingerprint:
    """The fingerprint that `str` wrote.

    Raises:
      AdapterError: for any other text.
    """
    strength, dash, digits = text.partition("-")
    try:
        if not dash or len(strength) != 4 or len(digits) != 3 * NUMBERS:
            raise ValueError("wrong length")
        codes = [int(digits[i : i + 3], 16) for i in range(0, len(digits), 3)]
        return Fingerprint(tuple(c - LARGEST - 1 for c in codes), int(strength, 16))
    except ValueError as error:
        raise AdapterError(
            f"expected a fingerprint of 4 and {3 * NUMBERS} hexadecimal digits, found "
            f"{text[:80]!r}"
        ) from error


def compare(first: Fingerprint, second: Fingerprint) -> Comparison:
    """How far apart two updates of one base model are."""
    distance = math.dist(first.direction, second.direction)
    difference = STEP * distance / math.sqrt(NUMBERS)
    return Comparison(difference, second.norm / first.norm)


def same_update(
    first: Fingerprint,
    second: Fingerprint,
    tolerance: float = TOLERANCE,
    scaled: bool = False,
) -> bool:
    """Whether two fingerprints of one base model name one update.

    Args:
      tolerance: the relative error that counts as rounding; one that takes in casts to
        eight bits also takes in the late epochs of a run.
      scaled: whether an update counts as itself at another strength, too.
    """
    found = compare(first, second)
    return found.is_same(tolerance) or (scaled and found.is_scaled(tolerance))


def _signs(
    seed: str, out: int, in_: int
) -> tuple[Float[np.ndarray, "out k"], Float[np.ndarray, "in_ k"]]:
    """Two matrices of random signs, the same for ever and on every machine."""
    bits = np.frombuffer(shake_256(seed.encode()).digest((out + in_) * 2), np.uint8)
    signs = 1 - 2 * np.unpackbits(bits).astype("f4").reshape(-1, NUMBERS)
    return signs[:out], signs[out:]
