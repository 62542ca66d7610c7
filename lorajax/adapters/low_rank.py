"""Plain LoRA: ΔW = scale · up @ down. Convolutions come flattened, `in` = in·kh·kw."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class LowRankUpdate:
    """A low-rank update, in the dtype of its factors (float32 or float64).

    Attributes:
      up: `[out, rank]`.
      down: `[rank, in]`.
      scale: alpha / rank.
    """

    up: Float[np.ndarray, "out rank"]
    down: Float[np.ndarray, "rank in_"]
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.up.ndim != 2 or self.down.ndim != 2:
            raise ValueError(
                f"factors are matrices, got {self.up.shape} and {self.down.shape}"
            )
        if self.up.shape[1] != self.down.shape[0]:
            raise ValueError(
                f"ranks differ: up has {self.up.shape[1]}, down {self.down.shape[0]}"
            )

    @property
    def shape(self) -> tuple[int, int]:
        return self.up.shape[0], self.down.shape[1]

    @property
    def rank(self) -> int:
        """The number of factor pairs; the rank of ΔW may be lower."""
        return self.down.shape[0]

    @cached_property
    def scaled_up(self) -> Float[np.ndarray, "out rank"]:
        """`up` with the scale multiplied in."""
        return (
            self.up if self.scale == 1.0 else self.up * self.up.dtype.type(self.scale)
        )

    def matmul(self, x: Float[np.ndarray, "in_ k"]) -> Float[np.ndarray, "out k"]:
        return self.scaled_up @ (self.down @ x)

    def rmatmul(self, x: Float[np.ndarray, "out k"]) -> Float[np.ndarray, "in_ k"]:
        return self.down.T @ (self.scaled_up.T @ x)

    def rows(self, start: int, stop: int) -> "LowRankUpdate":
        return LowRankUpdate(self.up[start:stop], self.down, self.scale)

    def squared_norm(self) -> float:
        """tr((upᵀup)(down downᵀ)) · scale²; never below 0 by rounding."""
        gram = (self.up.T @ self.up).astype(np.float64)
        total = np.sum(gram * (self.down @ self.down.T))
        return max(float(total) * self.scale**2, 0.0)

    def factors(
        self,
    ) -> tuple[Float[np.ndarray, "out rank"], Float[np.ndarray, "rank in_"]]:
        return self.scaled_up, self.down

    def dense(self) -> Float[np.ndarray, "out in_"]:
        return self.scaled_up @ self.down

    def is_zero(self) -> bool:
        """Whether ΔW vanishes because every pair has a zero half."""
        # The first entries decide for nearly every trained module.
        if np.any((self.up[0] != 0) & (self.down[:, 0] != 0)):
            return self.scale == 0.0
        live = self.up.any(axis=0) & self.down.any(axis=1)
        return self.scale == 0.0 or not live.any()
