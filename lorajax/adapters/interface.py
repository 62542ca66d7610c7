"""What every family of adapters can do, and all that the floors above may ask.

A family says how its update acts on vectors; sketches, spectra and inner products of
any two families are written once from that, in `lorajax.adapters.algebra`. Nothing
here needs the update as a matrix but `dense`, the slow reference.
"""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float


@runtime_checkable
class Update(Protocol):
    """One module's update ΔW, seen as a matrix `[out, in]`.

    A convolution's kernel is flattened into the inputs: `in` = inputs · kh · kw.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """`(out, in)`."""
        ...

    def matmul(self, x: Float[np.ndarray, "in_ k"]) -> Float[np.ndarray, "out k"]:
        """ΔW @ x."""
        ...

    def rmatmul(self, x: Float[np.ndarray, "out k"]) -> Float[np.ndarray, "in_ k"]:
        """ΔWᵀ @ x."""
        ...

    def rows(self, start: int, stop: int) -> "Update":
        """The update of the outputs `[start, stop)` alone, as from a fused q/k/v."""
        ...

    def squared_norm(self) -> float:
        """‖ΔW‖² (Frobenius)."""
        ...

    def factors(
        self,
    ) -> tuple[Float[np.ndarray, "out rank"], Float[np.ndarray, "rank in_"]] | None:
        """`(up, down)` with ΔW = up @ down, the scale multiplied in; None if there
        is no such form that is much smaller than ΔW."""
        ...

    def dense(self) -> Float[np.ndarray, "out in_"]:
        """ΔW itself: the slow reference that the fast paths are tested against."""
        ...


class FileUpdate(Update, Protocol):
    """An update as a file holds it."""

    def is_zero(self) -> bool:
        """Whether nothing of ΔW is left but the rounding of its factors."""
        ...
