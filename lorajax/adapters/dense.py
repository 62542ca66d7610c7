"""ΔW itself as an update: where factors say nothing of one module alone."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lorajax.adapters.low_rank import computable


@dataclass(frozen=True, eq=False)
class DenseUpdate:
    """An update without factors, kept in the number format that it came in.

    Attributes:
      stored: `[out, in]`.
    """

    stored: Float[np.ndarray, "out in_"]

    @property
    def shape(self) -> tuple[int, int]:
        return self.stored.shape[0], self.stored.shape[1]

    def matmul(self, x: Float[np.ndarray, "in_ k"]) -> Float[np.ndarray, "out k"]:
        return self.dense() @ x

    def rmatmul(self, x: Float[np.ndarray, "out k"]) -> Float[np.ndarray, "in_ k"]:
        return self.dense().T @ x

    def rows(self, start: int, stop: int) -> "DenseUpdate":
        return DenseUpdate(self.stored[start:stop])

    def squared_norm(self) -> float:
        return float(np.sum(np.square(self.dense(), dtype=np.float64)))

    def factors(self) -> None:
        return None

    def dense(self) -> Float[np.ndarray, "out in_"]:
        return computable(self.stored)

    def is_zero(self) -> bool:
        return not self.stored.any()
