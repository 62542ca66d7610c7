"""(IA)³: channels of a weight are scaled, W′ = W · (1 + factor).

References:
  Liu et al. 2022, "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than
  In-Context Learning"; KohakuBlueleaf/LyCORIS `lycoris/modules/ia3.py`;
  huggingface/peft `tuners/ia3/layer.py`.
"""

from dataclasses import dataclass
from math import prod

import numpy as np
from jaxtyping import Float

from lorajax.adapters.low_rank import computable
from lorajax.adapters.matrices import Arrays, Shapes
from lorajax.adapters.operators import Operator
from lorajax.errors import AdapterError


@dataclass(frozen=True, eq=False)
class ChannelScaling(Operator):
    """A factor for every input or every output channel.

    Attributes:
      factors: how much each channel grows, `[channels]`; 0 changes nothing.
      axis: 0 for outputs, 1 for inputs; None where only a weight's shape tells.
    """

    factors: Float[np.ndarray, " channels"]
    axis: int | None = None

    @property
    def size(self) -> int:
        return 1

    def delta_weight(
        self, weight: Float[np.ndarray, "out in_ *kernel"]
    ) -> Float[np.ndarray, "out in_ *kernel"]:
        fitting = [i for i in (0, 1) if weight.shape[i] == len(self.factors)]
        axes = fitting if self.axis is None else [self.axis]
        if len(axes) != 1 or axes[0] not in fitting:
            raise AdapterError(
                f"expected a weight that tells by one side of {len(self.factors)} "
                f"which channels are scaled, found {list(weight.shape)}"
            )
        ends = [1] * (weight.ndim - 1 - axes[0])
        return computable(weight) * self.factors.reshape(-1, *ends)

    def is_identity(self) -> bool:
        return not self.factors.any()


def ia3_fits(shapes: Shapes) -> bool:
    """Whether one axis alone has channels, and `on_input` is one number."""
    vector = shapes.get("ia3_l", shapes.get("ia3_weight", ()))
    return prod(vector) == max(vector) and prod(shapes.get("on_input", ())) == 1


def build_ia3(arrays: Arrays) -> ChannelScaling:
    """The operator of one module from its tensors."""
    if "ia3_l" in arrays:
        vector = computable(arrays["ia3_l"])
        factors = (vector - 1).reshape(-1)
        if vector.ndim != 2:
            return ChannelScaling(factors)  # PEFT writes convolutions [1, channels, …]
        return ChannelScaling(factors, 0 if vector.shape[1] == 1 else 1)
    on_input = bool(arrays["on_input"].item())
    return ChannelScaling(computable(arrays["ia3_weight"]).reshape(-1), int(on_input))
