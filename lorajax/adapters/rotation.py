"""OFT and BOFT: one side of a weight is rotated, in blocks, by Cayley transforms.

A stage puts the channels in an order, cuts them into n blocks of b and rotates each by
(I + Q)(I − Q)⁻¹ with skew-symmetric Q. OFT has one stage; BOFT, the butterfly, has
several, each in an order of its own, so that blocks far apart mix as well.

| written by          | side   | Q of a stage                 | order              |
|---------------------|--------|------------------------------|--------------------|
| LyCORIS, kohya OFT  | output | blocksᵀ − blocks             | as they come       |
| LyCORIS BOFT        | output | blocks − blocksᵀ             | halves interleaved |
| PEFT OFT            | input  | numbers above the diagonal   | as they come       |
| PEFT BOFT           | input  | (blocksᵀ − blocks) / 2       | even, then odd     |

References:
  Qiu et al. 2023, "Controlling Text-to-Image Diffusion by Orthogonal Finetuning"; Liu
  et al. 2024, "Parameter-Efficient Orthogonal Finetuning via Butterfly Factorization";
  KohakuBlueleaf/LyCORIS `lycoris/functional/{diag_oft,boft}.py`; huggingface/peft
  `tuners/oft/layer.py`, `tuners/boft/layer.py`; kohya-ss/sd-scripts `networks/oft.py`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from lorajax.adapters.algebra import row_blocks
from lorajax.adapters.operators import Operator
from lorajax.errors import AdapterError


@dataclass(frozen=True, eq=False)
class Rotation(Operator):
    """Rotations of blocks of channels, stage after stage.

    Attributes:
      generators: Q of every block of every stage; where n is 1, that block stands for
        all that the side has room for.
      side: which channels are rotated.
      orders: in which order each stage cuts the channels; None as they come.
      series: R as a polynomial of Q, its coefficients from the lowest power on; empty
        is the Cayley transform itself.
      scales: a factor for every output, or None.
    """

    generators: Float[np.ndarray, "m n b b"]
    side: Literal["out", "in"]
    orders: tuple[Int[np.ndarray, " d"], ...] | None = None
    series: tuple[float, ...] = ()
    scales: Float[np.ndarray, " out"] | None = None

    @property
    def size(self) -> int:
        return self.generators.shape[-1]

    def delta_weight(
        self, weight: Float[np.ndarray, "out in_ *kernel"]
    ) -> Float[np.ndarray, "out in_ *kernel"]:
        matrix = weight.reshape(len(weight), -1)
        self._check(matrix.shape)
        change = np.empty(matrix.shape, np.float32)
        on_outputs = self.side == "out"
        old, new = (matrix, change) if on_outputs else (matrix.T, change.T)
        rotations = [self._rotations(stage) for stage in range(len(self.generators))]
        # Double precision of a bounded part at a time: the other side stays apart.
        channels, others = old.shape
        for part in (slice(*part) for part in row_blocks((others, channels))):
            turned = old[:, part].astype(np.float64)
            for stage, blocks in enumerate(rotations):
                turned = self._turned(turned, blocks, stage)
            if self.scales is not None:
                turned *= self.scales[:, None] if on_outputs else self.scales[part]
            new[:, part] = turned - old[:, part]
        return change.reshape(weight.shape)

    def is_identity(self) -> bool:
        scaled = self.scales is not None and bool(np.any(self.scales != 1))
        return not scaled and not self.generators.any()

    def _rotations(self, stage: int) -> Float[np.ndarray, "n b b"]:
        q = self.generators[stage].astype(np.float64)
        return polynomial(q, self.series) if self.series else cayley(q)

    def _turned(
        self,
        channels: Float[np.ndarray, "d k"],
        blocks: Float[np.ndarray, "n b b"],
        stage: int,
    ) -> Float[np.ndarray, "d k"]:
        order = slice(None) if self.orders is None else self.orders[stage]
        turned = np.empty_like(channels)
        # One block that stands for all is broadcast over them.
        cut = channels[order].reshape(-1, self.size, channels.shape[1])
        turned[order] = np.matmul(blocks, cut).reshape(channels.shape)
        return turned

    def _check(self, shape: tuple[int, ...]) -> None:
        n = self.generators.shape[1]
        found = shape[0] if self.side == "out" else shape[1]
        fits = found % self.size == 0 if n == 1 else found == n * self.size
        if not fits or (self.scales is not None and len(self.scales) != shape[0]):
            raise AdapterError(
                f"expected a weight whose {self.side}put side has {n} blocks of "
                f"{self.size} channels, found {list(shape)}"
            )


def cayley(q: Float[np.ndarray, "n b b"]) -> Float[np.ndarray, "n b b"]:
    """(I + Q)(I − Q)⁻¹, a rotation for every skew-symmetric Q."""
    eye = np.eye(q.shape[-1])
    # The two commute, so that either side may be solved for.
    return np.linalg.solve(eye - q, eye + q)


def polynomial(
    q: Float[np.ndarray, "n b b"], coefficients: tuple[float, ...]
) -> Float[np.ndarray, "n b b"]:
    """c₀I + c₁Q + c₂Q² + …"""
    eye = np.broadcast_to(np.eye(q.shape[-1]), q.shape)
    total = np.zeros_like(q)
    for coefficient in reversed(coefficients):
        total = total @ q + coefficient * eye
    return total


def interleaved(channels: int, size: int, stage: int) -> Int[np.ndarray, " d"]:
    """LyCORIS' order of a stage: halves of growing blocks meet channel by channel.

    >>> interleaved(8, 4, 0).tolist()
    [0, 2, 1, 3, 4, 6, 5, 7]
    """
    half = 2**stage * (size // 2)
    return np.arange(channels).reshape(-1, 2, half).transpose(0, 2, 1).reshape(-1)


def even_then_odd(channels: int, size: int, stage: int) -> Int[np.ndarray, " d"]:
    """PEFT's order of a stage: of half blocks the even ones came first, then the odd.

    >>> even_then_odd(8, 4, 1).tolist()
    [0, 1, 4, 5, 2, 3, 6, 7]
    """
    half = size // 2
    halves = np.arange(channels).reshape(-1, 2**stage, 2, half)
    return np.argsort(halves.transpose(0, 2, 1, 3).reshape(-1))
