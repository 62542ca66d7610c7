"""What must hold before factors are used: each refusal names what it found."""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from lorajax.errors import AdapterError
from lorajax.formats.dtypes import FLOATS, count_not_finite
from lorajax.formats.safetensors_file import TensorFile
from lorajax.formats.text import clean

MAX_RANK = 4096
# Multiplications of all QR decompositions together: about a minute on two cores.
MAX_WORK = 10**13
MAX_NUMBERS = 2 * 10**9


def check_pair(file: TensorFile, module: str, roles: Mapping[str, str]) -> None:
    """Both halves are there, in floats, their ranks agree, and alpha is one number."""
    for half, other in (("up", "down"), ("down", "up")):
        if half not in roles:
            raise AdapterError(
                f"expected up and down for {module}, found "
                + (f"{other} alone" if other in roles else "neither")
            )
    up, down = file.tensors[roles["up"]], file.tensors[roles["down"]]
    for info in (up, down):
        if info.dtype not in FLOATS:
            raise AdapterError(
                f"expected factors of {module} in {', '.join(FLOATS)}, "
                f"found {info.dtype}"
            )
    alpha = file.tensors[roles["alpha"]].shape if "alpha" in roles else ()
    if math.prod(alpha) != 1:
        raise AdapterError(f"expected one alpha for {module}, found {list(alpha)}")
    fits = len(up.shape) >= 2 and up.shape[1] == down.shape[0]
    if not fits or math.prod(up.shape[2:]) != 1 or 0 in (*up.shape, *down.shape):
        raise AdapterError(
            f"expected up [out, rank] and down [rank, in] for {module}, "
            f"found {list(up.shape)} and {list(down.shape)}"
        )
    if down.shape[0] > MAX_RANK:
        raise AdapterError(
            f"expected a rank of at most {MAX_RANK} for {module}, found {down.shape[0]}"
        )


def check_work(file: TensorFile, modules: Mapping[str, Mapping[str, str]]) -> None:
    """Bound memory and time before either is spent."""
    numbers = work = 0
    for roles in modules.values():
        up, down = file.tensors[roles["up"]].shape, file.tensors[roles["down"]].shape
        both = math.prod(up) + math.prod(down)
        numbers += both
        work += both * down[0]
    if numbers > MAX_NUMBERS or work > MAX_WORK:
        raise AdapterError(
            f"expected at most {MAX_NUMBERS:,} numbers and {MAX_WORK:,} operations, "
            f"found {numbers:,} and {work:,}",
            "resize the LoRA to a lower rank",
        )


def check_finite(name: str, array: Float[np.ndarray, "..."]) -> None:
    """No number of the tensor is NaN or Inf."""
    if wrong := count_not_finite(array):
        raise AdapterError(
            f"expected finite weights, found {wrong:,} NaN or Inf of {array.size:,} "
            f"in {clean(name, 120)!r}",
            "the training diverged or the file is damaged: use an earlier checkpoint",
        )
