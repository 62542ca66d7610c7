"""LoHa: ΔW = scale · (w1_a @ w1_b) ∘ (w2_a @ w2_b), the entries multiplied.

By Khatri-Rao products it is a low-rank update of rank r₁·r₂:
up[o, (a, b)] = w1_a[o, a] · w2_a[o, b],  down[(a, b), n] = w1_b[a, n] · w2_b[b, n].

References:
  Hyeon-Woo et al. 2022, "FedPara"; KohakuBlueleaf/LyCORIS `lycoris/modules/loha.py`;
  huggingface/peft `tuners/loha/layer.py`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lorajax.adapters.algebra import blockwise_squared_norm, row_blocks, saves_memory
from lorajax.adapters.low_rank import CORNER, NOISE, LowRankUpdate
from lorajax.adapters.matrices import Arrays, Shapes, build_matrix, matrix_sides


@dataclass(frozen=True, eq=False)
class HadamardUpdate:
    """The entrywise product of two low-rank updates of one shape.

    Attributes:
      first: `[out, in]`, of rank r₁ and scale 1.
      second: `[out, in]`, of rank r₂ and scale 1.
      scale: alpha / r₁.
    """

    first: LowRankUpdate
    second: LowRankUpdate
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.first.shape != self.second.shape:
            raise ValueError(
                "expected two matrices of one shape, got "
                f"{self.first.shape} and {self.second.shape}"
            )

    @property
    def shape(self) -> tuple[int, int]:
        return self.first.shape

    def matmul(self, x: Float[np.ndarray, "in_ k"]) -> Float[np.ndarray, "out k"]:
        if pair := self.factors():
            return pair[0] @ (pair[1] @ x)
        blocks = [self.rows(i, j).dense() @ x for i, j in row_blocks(self.shape)]
        return np.concatenate([x[:0], *blocks])

    def rmatmul(self, x: Float[np.ndarray, "out k"]) -> Float[np.ndarray, "in_ k"]:
        if pair := self.factors():
            return pair[1].T @ (pair[0].T @ x)
        total = np.zeros((self.shape[1], x.shape[1]), x.dtype)
        for i, j in row_blocks(self.shape):
            total = total + self.rows(i, j).dense().T @ x[i:j]
        return total

    def rows(self, start: int, stop: int) -> "HadamardUpdate":
        first, second = self.first.rows(start, stop), self.second.rows(start, stop)
        return HadamardUpdate(first, second, self.scale)

    def squared_norm(self) -> float:
        if pair := self.factors():
            return LowRankUpdate(*pair).squared_norm()
        return blockwise_squared_norm(self)

    def factors(
        self,
    ) -> tuple[Float[np.ndarray, "out rank"], Float[np.ndarray, "rank in_"]] | None:
        """The Khatri-Rao products; None where they are no smaller than half of ΔW."""
        out, in_ = self.shape
        if not saves_memory(self.first.rank * self.second.rank, self.shape):
            return None
        up = self.first.up[:, :, None] * self.second.up[:, None, :]
        down = self.first.down[:, None] * self.second.down
        return self._scaled(up.reshape(out, -1)), down.reshape(-1, in_)

    def dense(self) -> Float[np.ndarray, "out in_"]:
        return self._scaled(self.first.dense() * self.second.dense())

    def is_zero(self) -> bool:
        """Whether nothing of ΔW is left but the rounding of float32 factors.

        Either matrix may be zero, or both may be so in different places. A corner
        decides for nearly every trained module, as in `LowRankUpdate.is_zero`.
        """
        halves = (self.first, self.second)
        factors = [factor for half in halves for factor in (half.up, half.down)]
        if self.scale == 0.0 or not all(factor.any() for factor in factors):
            return True
        corner = (min(CORNER, self.shape[0]), min(CORNER, self.shape[1]))
        if _rises(self._part(0, corner[0], corner[1])):
            return False
        return not any(
            _rises(self._part(i, j, self.shape[1])) for i, j in row_blocks(self.shape)
        )

    def _part(self, start: int, stop: int, inputs: int) -> "HadamardUpdate":
        """Some rows and the first inputs, in double precision."""
        first, second = (
            LowRankUpdate(
                half.stored_up[start:stop].astype("f8"),
                half.stored_down[:, :inputs].astype("f8"),
            )
            for half in (self.first, self.second)
        )
        return HadamardUpdate(first, second)

    def _scaled(self, x: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "a b"]:
        return x if self.scale == 1.0 else x * x.dtype.type(self.scale)


def loha_fits(shapes: Shapes) -> bool:
    """Whether both matrices are of one shape."""
    first = matrix_sides(shapes, "hada_w1", "hada_t1")
    return first is not None and first == matrix_sides(shapes, "hada_w2", "hada_t2")


def build_loha(arrays: Arrays, scale: float) -> HadamardUpdate:
    """The update of one module from its tensors."""
    first = build_matrix(arrays, "hada_w1", "hada_t1")
    second = build_matrix(arrays, "hada_w2", "hada_t2")
    assert isinstance(first, LowRankUpdate) and isinstance(second, LowRankUpdate)
    return HadamardUpdate(first, second, scale)


def _rises(part: HadamardUpdate) -> bool:
    """Whether any entry is more than what rounding leaves of its terms."""
    bound = np.ones(part.shape)
    for half in (part.first, part.second):
        bound *= np.abs(half.up) @ np.abs(half.down)
    return bool(np.any(np.abs(part.dense()) > NOISE * bound))
