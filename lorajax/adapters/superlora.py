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
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from lorajax.adapters.low_rank import computable


class Factor(NamedTuple):
    """One tensor of a group's Kronecker product: C ×₁ A₁ … ×_M A_M.

    Attributes:
      sides: A₁ … A_M, each `[d, rank]`.
      core: C `[rank₁, …, rank_M]`; None is superdiagonal ones.
    """

    sides: tuple[Float[np.ndarray, "_ _"], ...]
    core: Float[np.ndarray, "..."] | None = None


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


def reconstruct(
    groups: Iterable[Sequence[Factor]],
    sizes: Sequence[int],
    scale: float = 1.0,
    shuffle_seed: int | None = None,
) -> Float[np.ndarray, " total"]:
    """The joint vector of all modules, group after group.

    Args:
      groups: the factors of each group.
      sizes: how many values each has, as `group_sizes` says.
    """
    values = np.empty(sum(sizes), np.float32)
    start = 0
    for group, (factors, n) in enumerate(zip(groups, sizes, strict=True)):
        part = values[start : start + n]
        flat = kronecker([tensor(factor) for factor in factors]).reshape(-1)[:n]
        if shuffle_seed is not None:
            flat = flat[permutation(shuffle_seed, group, n)]
        np.multiply(flat, scale, out=part, casting="same_kind")
        start += n
    return values


def tensor(factor: Factor) -> Float[np.ndarray, "..."]:
    """C ×₁ A₁ … ×_M A_M, of the shape [d₁, …, d_M]."""
    sides = [computable(side) for side in factor.sides]
    if factor.core is None:
        return _sum_of_products(sides)
    found = computable(factor.core)
    for side in sides:
        # The axis at the front is used up, and its side comes behind the others.
        found = np.tensordot(found, side, axes=(0, 1))
    return found


def kronecker(tensors: Sequence[Float[np.ndarray, "..."]]) -> Float[np.ndarray, "..."]:
    """The Kronecker product of tensors with equally many axes: each axis multiplies."""
    return reduce(np.kron, tensors)


def expansion(
    sides: Sequence[tuple[int, ...]], core: tuple[int, ...] | None
) -> tuple[int, int]:
    """The largest array on the way to `tensor` and the multiplications of all steps.

    Args:
      sides: shapes `[d, rank]`.
      core: shape of the core, or None.
    """
    ranks = [rank for _, rank in sides]
    held = math.prod(core) if core is not None else ranks[0]
    largest, work = held, 0
    for i, (side, rank) in enumerate(sides):
        last = i + 1 == len(sides)
        work += held * side
        if core is not None or last:
            held //= rank
        held *= side
        largest = max(largest, held)
    return largest, work


def _sum_of_products(
    sides: Sequence[Float[np.ndarray, "_ rank"]],
) -> Float[np.ndarray, "..."]:
    """Σᵣ A₁[i, r] · A₂[j, r] · …"""
    *head, last = sides
    found = reduce(lambda left, side: left[..., None, :] * side, head)
    return found @ last.T


def _root(n: int, ways: int) -> int:
    """The largest whole number whose power `ways` is at most `n`."""
    side = max(1, round(n ** (1 / ways)))
    while side**ways > n:
        side -= 1
    while (side + 1) ** ways <= n:
        side += 1
    return side
