"""The matrices that LoHa and LoKr multiply: whole, as a pair, or around a Tucker core.

A matrix named `w` comes as one tensor `w`, as `w_a @ w_b`, or with a core `t` and both
halves standing on their ranks:  w[o, (n, k)] = Σᵢⱼ t[i, j, k] · w_a[i, o] · w_b[j, n].
Seen as a matrix, the last has no more than rank(i) pairs either, so that above this
file there are only pairs and whole matrices. Kernels are flattened into the inputs.
"""

from collections.abc import Mapping
from math import prod

import numpy as np
from jaxtyping import Float

from lorajax.adapters.dense import DenseUpdate
from lorajax.adapters.low_rank import LowRankUpdate, computable

Shapes = Mapping[str, tuple[int, ...]]
Arrays = Mapping[str, Float[np.ndarray, "..."]]


def matrix_sides(shapes: Shapes, name: str, core: str) -> tuple[int, int] | None:
    """`(out, in)` of a matrix, or None where its tensors do not fit together."""
    if name in shapes:
        whole = shapes[name]
        return (whole[0], prod(whole[1:])) if len(whole) > 1 else None
    a, b = shapes[f"{name}_a"], shapes[f"{name}_b"]
    if len(a) < 2 or len(b) < 2:
        return None
    if core in shapes:
        t = shapes[core]
        fits = len(a) == len(b) == 2 and len(t) > 2 and t[:2] == (a[0], b[0])
        return (a[1], b[1] * prod(t[2:])) if fits else None
    fits = a[1] == b[0] and prod(a[2:]) == 1
    return (a[0], prod(b[1:])) if fits else None


def matrix_numbers(shapes: Shapes, name: str, core: str) -> int:
    """How many numbers the matrix is kept as; needs tensors that fit together."""
    if name in shapes:
        return prod(shapes[name])
    a, b = shapes[f"{name}_a"], shapes[f"{name}_b"]
    if core in shapes:
        return a[0] * (a[1] + b[1] * prod(shapes[core][2:]))
    return prod(a) + prod(b)


def full_rank(shapes: Shapes) -> int:
    """The rank of ΔW where all matrices of a module are whole."""
    sides = [matrix_sides(shapes, name, "") or (0, 0) for name in shapes]
    return min(prod(side) for side in zip(*sides, strict=True))


def build_matrix(arrays: Arrays, name: str, core: str) -> LowRankUpdate | DenseUpdate:
    """The matrix as an update of its own, which knows how to multiply."""
    if name in arrays:
        whole = arrays[name]
        return DenseUpdate(whole.reshape(len(whole), -1))
    a, b = arrays[f"{name}_a"], arrays[f"{name}_b"]
    if core in arrays:
        return LowRankUpdate(a.T, through_core(arrays[core], b))
    return LowRankUpdate(a.reshape(len(a), -1), b.reshape(len(b), -1))


def through_core(
    core: Float[np.ndarray, "i j ..."], b: Float[np.ndarray, "j n"]
) -> Float[np.ndarray, "i nk"]:
    """Σⱼ core[i, j, k] · b[j, n], the kernel behind the inputs."""
    i, j = core.shape[:2]
    flat = computable(core.reshape(i, j, -1)).transpose(0, 2, 1)  # [i, k, j]
    return np.matmul(flat, computable(b)).transpose(0, 2, 1).reshape(i, -1)
