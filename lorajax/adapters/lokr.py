"""LoKr: ΔW = scale · kron(w1, w2), and the product is never formed to be used.

With x seen as a stack of q blocks of t inputs, kron(w1, w2) @ x is w2 on every block
and then w1 across the blocks. A convolution's kernel belongs to w2's inputs.

References:
  KohakuBlueleaf/LyCORIS `lycoris/modules/lokr.py`; huggingface/peft
  `tuners/lokr/layer.py`; Van Loan 2000, "The ubiquitous Kronecker product".
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lorajax.adapters.algebra import exact_factors, exact_rank, saves_memory
from lorajax.adapters.dense import DenseUpdate
from lorajax.adapters.interface import Update
from lorajax.adapters.low_rank import LowRankUpdate
from lorajax.adapters.matrices import Arrays, Shapes, build_matrix, matrix_sides
from lorajax.adapters.row_slice import RowSlice


@dataclass(frozen=True, eq=False)
class KroneckerUpdate:
    """The Kronecker product of two matrices, each whole or of low rank.

    Attributes:
      left: w1 `[p, q]`.
      right: w2 `[s, t]`; ΔW is `[p·s, q·t]`.
      scale: alpha / rank.
    """

    left: LowRankUpdate | DenseUpdate
    right: LowRankUpdate | DenseUpdate
    scale: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        (p, q), (s, t) = self.left.shape, self.right.shape
        return p * s, q * t

    def matmul(self, x: Float[np.ndarray, "in_ k"]) -> Float[np.ndarray, "out k"]:
        (p, q), (s, t), k = self.left.shape, self.right.shape, x.shape[1]
        inner = self.right.matmul(_swapped(x, q, t, k))  # [s, q·k]
        outer = self.left.matmul(_swapped(inner, s, q, k))  # [p, s·k]
        return self._scaled(outer.reshape(p * s, k))

    def rmatmul(self, x: Float[np.ndarray, "out k"]) -> Float[np.ndarray, "in_ k"]:
        (p, q), (s, t), k = self.left.shape, self.right.shape, x.shape[1]
        inner = self.right.rmatmul(_swapped(x, p, s, k))  # [t, p·k]
        outer = self.left.rmatmul(_swapped(inner, t, p, k))  # [q, t·k]
        return self._scaled(outer.reshape(q * t, k))

    def rows(self, start: int, stop: int) -> Update:
        """Whole blocks of rows are cut out first, so that little is done in vain."""
        block = self.right.shape[0]
        first, last = start // block, -(-stop // block)
        part = KroneckerUpdate(self.left.rows(first, last), self.right, self.scale)
        start, stop = start - first * block, stop - first * block
        return (
            part if (start, stop) == (0, part.shape[0]) else RowSlice(part, start, stop)
        )

    def squared_norm(self) -> float:
        return self.left.squared_norm() * self.right.squared_norm() * self.scale**2

    def factors(
        self,
    ) -> tuple[Float[np.ndarray, "out rank"], Float[np.ndarray, "rank in_"]] | None:
        """kron(ups), kron(downs); None where they are no smaller than half of ΔW."""
        rank = exact_rank(self.left) * exact_rank(self.right)
        if not saves_memory(rank, self.shape):
            return None
        (up1, down1), (up2, down2) = map(exact_factors, (self.left, self.right))
        return self._scaled(np.kron(up1, up2)), np.kron(down1, down2)

    def dense(self) -> Float[np.ndarray, "out in_"]:
        return self._scaled(np.kron(self.left.dense(), self.right.dense()))

    def is_zero(self) -> bool:
        return self.scale == 0.0 or self.left.is_zero() or self.right.is_zero()

    def _scaled(self, x: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "a b"]:
        return x if self.scale == 1.0 else x * x.dtype.type(self.scale)


def lokr_fits(shapes: Shapes) -> bool:
    """Whether the tensors of either matrix fit together."""
    return all(matrix_sides(shapes, f"lokr_w{i}", f"lokr_t{i}") for i in (1, 2))


def build_lokr(arrays: Arrays, scale: float) -> KroneckerUpdate:
    """The update of one module from its tensors."""
    left = build_matrix(arrays, "lokr_w1", "lokr_t1")
    return KroneckerUpdate(left, build_matrix(arrays, "lokr_w2", "lokr_t2"), scale)


def _swapped(
    x: Float[np.ndarray, "a_or_ab bk_or_k"], a: int, b: int, k: int
) -> Float[np.ndarray, "b ak"]:
    """`[a·b, k]`, or the same as `[a, b·k]`, with b in front: `[b, a·k]`."""
    return x.reshape(a, b, k).transpose(1, 0, 2).reshape(b, a * k)
