"""Plain LoRA: ΔW = scale · up @ down. Convolutions come flattened, `in` = in·kh·kw."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lorajax.adapters.interface import FileUpdate
from lorajax.formats.dtypes import to_float32

# An update below this share of its factors is what rounding leaves where they cancel:
# float32 keeps 6e-8 of a number. Trained updates lie above 1e-2.
NOISE = 1e-6
CORNER = 4
_NUMBERS_AT_A_TIME = 2**20


@dataclass(frozen=True, eq=False)
class LowRankUpdate:
    """A low-rank update.

    Factors are kept as the file has them and become float32 only while they are used:
    half precision takes half the memory, and converting in the processor's cache is
    cheaper than writing everything out first. float64 stays float64.

    Attributes:
      stored_up: `[out, rank]`.
      stored_down: `[rank, in]`.
      scale: alpha / rank.
    """

    stored_up: Float[np.ndarray, "out rank"]
    stored_down: Float[np.ndarray, "rank in_"]
    scale: float = 1.0

    def __post_init__(self) -> None:
        up, down = self.stored_up.shape, self.stored_down.shape
        if len(up) != 2 or len(down) != 2 or up[1] != down[0]:
            raise ValueError(
                f"expected up [out, rank] and down [rank, in], got {up} and {down}"
            )

    @property
    def up(self) -> Float[np.ndarray, "out rank"]:
        """`[out, rank]` in float32 or float64, without the scale."""
        return computable(self.stored_up)

    @property
    def down(self) -> Float[np.ndarray, "rank in_"]:
        """`[rank, in]` in float32 or float64."""
        return computable(self.stored_down)

    @property
    def shape(self) -> tuple[int, int]:
        return self.stored_up.shape[0], self.stored_down.shape[1]

    @property
    def rank(self) -> int:
        """The number of factor pairs; the rank of ΔW may be lower."""
        return self.stored_down.shape[0]

    def matmul(self, x: Float[np.ndarray, "in_ k"]) -> Float[np.ndarray, "out k"]:
        return self.up @ self._scaled(self.down @ x)

    def rmatmul(self, x: Float[np.ndarray, "out k"]) -> Float[np.ndarray, "in_ k"]:
        return self.down.T @ self._scaled(self.up.T @ x)

    def rows(self, start: int, stop: int) -> "LowRankUpdate":
        return LowRankUpdate(self.stored_up[start:stop], self.stored_down, self.scale)

    def squared_norm(self) -> float:
        """tr((upᵀup)(down downᵀ)) · scale²; never below 0 by rounding."""
        up, down = self.up, self.down
        total = np.sum((up.T @ up).astype(np.float64) * (down @ down.T))
        return max(float(total) * self.scale**2, 0.0)

    def factors(
        self,
    ) -> tuple[Float[np.ndarray, "out rank"], Float[np.ndarray, "rank in_"]]:
        return self._scaled(self.up), self.down

    def dense(self) -> Float[np.ndarray, "out in_"]:
        up, down = self.factors()
        return up @ down

    def is_zero(self) -> bool:
        """Whether nothing of ΔW is left but the rounding of float32 factors.

        Pairs may cancel each other, so that a zero half is not the only way to zero.
        The measure is ‖ΔW‖ against ‖up‖ · ‖down‖: r unrelated pairs reach 1/√r of it.
        """
        up, down = self.stored_up, self.stored_down
        if self.scale == 0.0:
            return True
        # A corner of ΔW decides for nearly every trained module.
        left, right = up[:CORNER].astype("f8"), down[:, :CORNER].astype("f8")
        if np.any(np.abs(left @ right) > NOISE * (np.abs(left) @ np.abs(right))):
            return False
        left, right = _gram(up), _gram(down.T)
        return bool(np.vdot(left, right) <= NOISE**2 * np.trace(left) * np.trace(right))

    def _scaled(self, x: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "a b"]:
        return x if self.scale == 1.0 else x * x.dtype.type(self.scale)


def _gram(array: Float[np.ndarray, "n rank"]) -> Float[np.ndarray, "rank rank"]:
    """arrayᵀ array in float64, a bounded part of the rows at a time."""
    step = max(1, _NUMBERS_AT_A_TIME // array.shape[1])
    total = np.zeros((array.shape[1],) * 2)
    for start in range(0, len(array), step):
        rows = array[start : start + step].astype("f8")
        total += rows.T @ rows
    return total


def computable(array: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """The same numbers in float32, or in float64 where they are so already."""
    return array if array.dtype == np.float64 else to_float32(array)


def zero_modules(updates: Mapping[str, FileUpdate]) -> tuple[str, ...]:
    """The modules whose ΔW is zero, as `is_zero` of each says.

    One entry of ΔW decides for nearly all, and those of all modules are computed at
    once: asking hundreds of modules one by one takes longer than reading the file.
    """
    plain = {
        module: update
        for module, update in updates.items()
        if isinstance(update, LowRankUpdate) and update.scale != 0.0
    }
    left = [update.stored_up[0].astype("f8") for update in plain.values()]
    right = [update.stored_down[:, 0].astype("f8") for update in plain.values()]
    starts = np.cumsum([0, *map(len, left)])[:-1]
    products = np.concatenate([*left, ()]) * np.concatenate([*right, ()])
    sums, sizes = (
        np.add.reduceat(x, starts) if len(starts) else np.zeros(0)
        for x in (products, np.abs(products))
    )
    alive = set(np.array(list(plain), object)[np.abs(sums) > NOISE * sizes])
    return tuple(m for m, u in updates.items() if m not in alive and u.is_zero())
