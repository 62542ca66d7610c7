"""DoRA: beside an update lies a magnitude for every output, or for every input channel.

The trained weight is W′ = m · (W + V) / ‖W + V‖, the norm of each row or of each input
channel: V = scale · up @ down (or of LoHa, LoKr) is the direction and known from the
file, W′ − W is known only together with W.

| written by                    | shape of m                  | one for every  |
|-------------------------------|-----------------------------|----------------|
| PEFT, diffusers               | [out], conv [1, out, 1, …]  | output         |
| LyCORIS, `wd_on_output`       | [out, 1, …]                 | output         |
| older LyCORIS, OneTrainer     | [1, in, 1, …]               | input channel  |

References:
  Liu et al. 2024, "DoRA: Weight-Decomposed Low-Rank Adaptation"; huggingface/peft
  `tuners/lora/dora.py`; KohakuBlueleaf/LyCORIS `lycoris/functional/general.py`.
"""

from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np
from jaxtyping import Float

from lorajax.adapters.algebra import row_blocks
from lorajax.errors import AdapterError

Axis = Literal["out", "in"]


@dataclass(frozen=True, eq=False)
class Magnitude:
    """The magnitudes of one module.

    Attributes:
      values: one for each row of the weight, or for each of its input channels.
      axis: which of the two.
    """

    values: Float[np.ndarray, " channels"]
    axis: Axis


def magnitude_axis(
    module: str, role: str, shape: tuple[int, ...], weight: tuple[int, ...]
) -> Axis:
    """Which axis of the weight a tensor of magnitudes belongs to.

    Args:
      role: `dora_scale` (LyCORIS) or `magnitude` (PEFT).
      shape: of the tensor.
      weight: shape of the module's weight, `(out, in, …)`.

    Raises:
      AdapterError: where it has not one number for every output or input channel.
    """
    n = prod(shape)
    axis: Axis = "out"
    if len(shape) > 1 and n == shape[1]:
        # PEFT writes outputs of convolutions there, but no square layer tells them.
        outputs = role == "magnitude" and len(shape) > 2 and n == weight[0]
        axis = "out" if outputs or n == 1 == weight[0] else "in"
    if n != (weight[0] if axis == "out" else weight[1]) or n != max(shape, default=0):
        raise AdapterError(
            f"expected a magnitude for each of {weight[0]} outputs or {weight[1]} "
            f"inputs of {module}, found {list(shape)}"
        )
    return axis


def decomposed(
    weight: Float[np.ndarray, "out in_ *kernel"],
    direction: Float[np.ndarray, "out d"],
    magnitude: Magnitude,
) -> Float[np.ndarray, "out in_ *kernel"]:
    """ΔW = m · (W + V) / ‖W + V‖ − W, in double precision a bounded part at a time."""
    direction = direction.reshape(weight.shape)
    own = 0 if magnitude.axis == "out" else 1
    others = tuple(i for i in range(weight.ndim) if i != own)
    parts = [slice(*part) for part in row_blocks((len(weight), prod(weight.shape[1:])))]

    def total(part: slice) -> Float[np.ndarray, "rows in_ *kernel"]:
        return weight[part].astype(np.float64) + direction[part]

    squares = [np.sum(total(p) ** 2, axis=others, keepdims=True) for p in parts]
    norms = np.sqrt(np.concatenate(squares) if own == 0 else sum(squares))
    ends = [1] * (weight.ndim - 1 - own)
    # A row without any weight has no direction, and stays without.
    share = magnitude.values.astype(np.float64).reshape(-1, *ends) / np.maximum(
        norms, np.finfo(np.float32).tiny
    )
    change = np.empty(weight.shape, np.float32)
    for part in parts:
        change[part] = share[part if own == 0 else ...] * total(part) - weight[part]
    return change
