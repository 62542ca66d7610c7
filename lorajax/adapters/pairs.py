"""The tensors of one LoRA module → `LowRankUpdate`: a pair, with or without a third.

| tensors                       | ΔW                                                 |
|-------------------------------|----------------------------------------------------|
| up, down                      | scale · up @ down                                  |
| up, down, mid (Tucker)        | scale · Σᵢⱼ up[o, i] · mid[i, j, k] · down[j, n]   |
| up, down, diagonal (AdaLoRA)  | scale · up @ (diagonal · down)                     |

The kernel of a convolution of any number of axes is flattened into the inputs. Seen so,
the core of a Tucker product only widens `down`: the rank stays that of the pair.

References:
  KohakuBlueleaf/LyCORIS `lycoris/modules/locon.py`; huggingface/peft
  `tuners/adalora/layer.py`.
"""

from math import prod

import numpy as np

from lorajax.adapters.alpha import Alpha
from lorajax.adapters.low_rank import LowRankUpdate, computable
from lorajax.adapters.matrices import Arrays, Shapes, through_core


def pair_fits(shapes: Shapes) -> bool:
    """Whether up, down and what lies between them have the same ranks."""
    up, down, mid = shapes["up"], shapes["down"], shapes.get("mid")
    if len(up) < 2 or prod(up[2:]) != 1:
        return False
    if mid is not None:
        point = prod(down[2:]) == 1
        return point and len(mid) > 2 and mid[:2] == (up[1], down[0])
    if up[0] * prod(down[1:]) == 0:
        return False
    diagonal = shapes.get("diagonal", down[:1])
    return up[1] == down[0] == prod(diagonal)


def pair_cost(shapes: Shapes) -> tuple[int, int]:
    """Numbers that are kept, and multiplications."""
    widened = prod(shapes["mid"][2:]) if "mid" in shapes else 1
    numbers = prod(shapes["up"]) + prod(shapes["down"]) * widened
    return numbers, numbers * max(shapes["down"][0], shapes["up"][1])


def build_pair(arrays: Arrays, alpha: Alpha) -> LowRankUpdate:
    """The update of one module of LoRA, LoCon or DyLoRA."""
    up, down = arrays["up"], arrays["down"]
    scale, rank = alpha.scale(len(down)), up.shape[1]
    if "mid" in arrays:
        down = through_core(arrays["mid"], down.reshape(len(down), -1))
    return LowRankUpdate(up.reshape(-1, rank), down.reshape(rank, -1), scale)


def build_triple(arrays: Arrays, alpha: Alpha) -> LowRankUpdate:
    """The update of one module of AdaLoRA; without a pair left it is a zero one."""
    up, down = arrays["up"], computable(arrays["down"])
    rank = len(down)
    if rank == 0:
        inputs = prod(down.shape[1:])
        return LowRankUpdate(np.zeros((len(up), 1), "f4"), np.zeros((1, inputs), "f4"))
    scaled = down.reshape(rank, -1) * computable(arrays["diagonal"]).reshape(rank, 1)
    return LowRankUpdate(up.reshape(-1, rank), scaled, alpha.adaptive_scale(rank))
