"""SuperLoRA's formula, written out in NumPy."""

import numpy as np

from lorajax.adapters.superlora import Factor


def oracle(factors: list[Factor]) -> np.ndarray:
    """The definition entry by entry: sums over the ranks, axis by axis."""
    total = np.ones((1,) * len(factors[0].sides))
    for sides, core in factors:
        if core is None:
            core = np.zeros([side.shape[1] for side in sides])
            for r in range(sides[0].shape[1]):
                core[(r,) * len(sides)] = 1
        for axis, side in enumerate(sides):
            core = np.moveaxis(np.tensordot(side, core, (1, axis)), 0, axis)
        total = np.kron(total, core)
    return total
