"""The directions that a module's LoRAs share, on either side.

ΔW ≈ U Uᵀ ΔW V Vᵀ with U [out, s] and V [in, s]: the leading eigenvectors of
Σ ΔW ΔWᵀ / ‖ΔW‖² and of Σ ΔWᵀ ΔW / ‖ΔW‖², so that every LoRA counts alike, however
strong. They come from subspace iteration: each pass over the LoRAs multiplies both sums
onto a block of a few more columns than are wanted. Nothing but the blocks is held, and
of a LoRA nothing but `matmul` is asked, so that all families take part. Where a block
is as wide as a side, it spans all of it and one pass is exact.

References:
  Ye 2004, "Generalized low rank approximations of matrices"; Zhang and Zhou 2005,
  "(2D)²PCA"; Halko, Martinsson and Tropp 2011, algorithm 4.4.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.interface import Update
from lorajax.projection.signs import sign_matrix

PASSES = 2
# Columns beyond the directions wanted, in multiples of them.
_OVERSAMPLING = 2


@dataclass(frozen=True)
class Sides:
    """The shared directions of one module, orthonormal columns."""

    left: Float[np.ndarray, "out s"]
    right: Float[np.ndarray, "in_ t"]


@dataclass
class _Blocks:
    """One module's blocks, and the sums that this pass makes of them."""

    left: Float[np.ndarray, "out l"]
    right: Float[np.ndarray, "in_ m"]
    left_sum: Float[np.ndarray, "out l"]
    right_sum: Float[np.ndarray, "in_ m"]

    def add(self, update: Update) -> None:
        weight = update.squared_norm()
        if not weight:
            return
        self.left_sum += update.matmul(update.rmatmul(self.left)) / weight
        self.right_sum += update.rmatmul(update.matmul(self.right)) / weight

    def turn(self) -> None:
        """Begins the next pass from an orthonormal form of the sums."""
        self.left = _orthonormal(self.left_sum)
        self.right = _orthonormal(self.right_sum)
        self.left_sum = np.zeros_like(self.left_sum)
        self.right_sum = np.zeros_like(self.right_sum)

    def leading(self, side: int) -> Sides:
        """The leading eigenvectors within the blocks that the last pass began with."""
        return Sides(
            _leading(self.left, self.left_sum, side),
            _leading(self.right, self.right_sum, side),
        )


def fit_sides(adapters: Callable[[], Iterable[Adapter]], side: int) -> dict[str, Sides]:
    """The shared directions of every module that any of the LoRAs has.

    Args:
      adapters: gives the LoRAs anew for each pass.
      side: directions wanted; fewer where a side of the module is shorter.
    """
    blocks: dict[str, _Blocks] = {}
    for number in range(PASSES):
        for adapter in adapters():
            for module, update in adapter.updates.items():
                if module not in blocks and number == 0:
                    blocks[module] = _start(module, update.shape, side)
                blocks[module].add(update)
        if number + 1 < PASSES:
            for block in blocks.values():
                block.turn()
    return {module: blocks[module].leading(side) for module in sorted(blocks)}


def _start(module: str, shape: tuple[int, int], side: int) -> _Blocks:
    wide = side * (1 + _OVERSAMPLING)
    left, right = (_orthonormal(_random(module, n, min(wide, n))) for n in shape)
    return _Blocks(left, right, np.zeros_like(left), np.zeros_like(right))


def _random(module: str, rows: int, columns: int) -> Float[np.ndarray, "rows columns"]:
    # Signs of a square matrix may be singular; a few more columns mend that.
    return sign_matrix(f"{module}/sides/{rows}", rows, columns).astype("f8") + np.eye(
        rows, columns
    )


def _orthonormal(block: Float[np.ndarray, "n l"]) -> Float[np.ndarray, "n l"]:
    return np.linalg.qr(block.astype("f8"))[0].astype("f4")


def _leading(
    block: Float[np.ndarray, "n l"], image: Float[np.ndarray, "n l"], side: int
) -> Float[np.ndarray, "n s"]:
    """Rayleigh-Ritz: the best directions within an orthonormal block."""
    small = block.T.astype("f8") @ image
    _, vectors = np.linalg.eigh((small + small.T) / 2)
    vectors = vectors[:, ::-1][:, : min(side, len(small))]
    signs = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(vectors.shape[1])])
    return (block @ (vectors * signs)).astype("f4")
