"""Some rows of an update that cannot cut itself there."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lorajax.adapters.algebra import blockwise_squared_norm
from lorajax.adapters.interface import Update


@dataclass(frozen=True, eq=False)
class RowSlice:
    """The outputs `[start, stop)` of another update.

    Whatever it does, it does for the whole base: that should be hardly larger.
    """

    base: Update
    start: int
    stop: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.stop - self.start, self.base.shape[1]

    def matmul(self, x: Float[np.ndarray, "in_ k"]) -> Float[np.ndarray, "out k"]:
        return self.base.matmul(x)[self.start : self.stop]

    def rmatmul(self, x: Float[np.ndarray, "out k"]) -> Float[np.ndarray, "in_ k"]:
        padded = np.zeros((self.base.shape[0], x.shape[1]), x.dtype)
        padded[self.start : self.stop] = x
        return self.base.rmatmul(padded)

    def rows(self, start: int, stop: int) -> Update:
        return self.base.rows(self.start + start, self.start + stop)

    def squared_norm(self) -> float:
        return blockwise_squared_norm(self)

    def factors(
        self,
    ) -> tuple[Float[np.ndarray, "out rank"], Float[np.ndarray, "rank in_"]] | None:
        pair = self.base.factors()
        return pair and (pair[0][self.start : self.stop], pair[1])

    def dense(self) -> Float[np.ndarray, "out in_"]:
        return self.base.dense()[self.start : self.stop]
