"""SuperLoRA: all updates as one vector, folded into a few small tensors per group.

No public file convention exists, so this one is ours. The modules' ΔW, each flattened
row by row, are joined in the order of the file's `modules` into one vector of N values,
which is cut into G groups as `numpy.array_split` does. The n values of group g are the
first n entries of an M-way tensor, row by row:

    scale · ⊗ₖ (Cₖ ×₁ Aₖ₁ … ×_M Aₖ_M),    Aₖₘ [dₖₘ, r],  Πₘ Πₖ dₖₘ ≥ n

A core Cₖ that the file leaves out is superdiagonal ones, so that K = 1, M = 2 without
cores is a plain LoRA of the folded vector. Where the file has a shuffle seed, value i
is the tensor's entry `permutation(seed, g, n)[i]`.

References:
  Chen et al. 2024, "SuperLoRA: Parameter-Efficient Unified Adaptation".
"""

import math

import numpy as np
from jaxtyping import Int


def group_sizes(total: int, groups: int) -> tuple[int, ...]:
    """How many values each group has, as `numpy.array_split` cuts them.

    >>> group_sizes(11, 3)
    (4, 4, 3)
    """
    size, longer = divmod(total, groups)
    return (size + 1,) * longer + (size,) * (groups - longer)


def fold(n: int, ways: int) -> tuple[int, ...]:
    """The sides of a nearly hypercubic tensor that holds `n` values, longest first.

    The sides differ by one at most, but for the last, which is no longer than needed.
    The product of the sides is at least `n` and below `2 n`.

    Args:
      n: values of a group, at least 1.
      ways: M, the number of sides.

    >>> fold(10, 2), fold(100, 3), fold(1, 4)
    ((4, 3), (5, 5, 4), (1, 1, 1, 1))
    """
    if n < 1 or ways < 1:
        raise ValueError(f"expected n and ways of at least 1, got {n} and {ways}")
    side = _root(n, ways)
    sides = [side] * ways
    longer = 0
    while math.prod(sides) < n:
        sides[longer] += 1
        longer += 1
    sides[-1] = -(-n // math.prod(sides[:-1]))
    return tuple(sides)


def permutation(seed: int, group: int, n: int) -> Int[np.ndarray, " n"]:
    """The order in which a shuffled group reads its tensor: the same on any machine.

    `values = tensor.reshape(-1)[:n][permutation(seed, group, n)]`. The generator's
    stream is fixed by NumPy's compatibility policy for PCG64.
    """
    return np.random.default_rng([seed, group]).permutation(n)


def _root(n: int, ways: int) -> int:
    """The largest whole number whose power `ways` is at most `n`."""
    side = max(1, round(n ** (1 / ways)))
    while side**ways > n:
        side -= 1
    while (side + 1) ** ways <= n:
        side += 1
    return side
