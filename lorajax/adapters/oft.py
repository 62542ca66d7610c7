"""The tensors of OFT and BOFT → `Rotation`, for every trainer that writes them."""

from math import prod

import numpy as np
from jaxtyping import Float

from lorajax.adapters.alpha import Alpha
from lorajax.adapters.matrices import Arrays, Shapes
from lorajax.adapters.rotation import Rotation, even_then_odd, interleaved
from lorajax.naming.shapes import skew_size

_BLOCKS = ("oft_blocks", "boft_blocks", "boft_R")
# What LyCORIS adds to a norm before it divides by it.
_TINY = 1e-8


def oft_fits(shapes: Shapes) -> bool:
    """Whether blocks are square, divide their side, and every output has one scale."""
    if "oft_R" in shapes:
        return len(shapes["oft_R"]) == 2 and skew_size(shapes["oft_R"][1]) > 0
    if "boft_R" in shapes:
        return _stages_fit(shapes["boft_R"]) and _is_vector(shapes["boft_s"])
    if "boft_blocks" in shapes:
        blocks = shapes["boft_blocks"]
        fits = _stages_fit(blocks) and blocks[3] % 2 == 0
    else:
        blocks = shapes["oft_blocks"]
        fits = len(blocks) == 3 and blocks[1] == blocks[2]
    if not fits or "rescale" not in shapes:
        return fits
    outputs, rescale = blocks[-3] * blocks[-1], shapes["rescale"]
    return _is_vector(rescale) and prod(rescale) == outputs


def block_size(shapes: Shapes) -> int:
    """How many channels a block rotates."""
    if "oft_R" in shapes:
        return skew_size(shapes["oft_R"][-1])
    return next(s[-1] for role, s in shapes.items() if role in _BLOCKS)


def build_oft(arrays: Arrays, alpha: Alpha) -> Rotation:
    """The rotation of one module from its tensors."""
    if "oft_R" in arrays:
        return _peft_oft(arrays["oft_R"].astype(np.float64), alpha)
    if "boft_R" in arrays:
        blocks = arrays["boft_R"].astype(np.float64)
        m, n, b, _ = blocks.shape
        # With one stage PEFT keeps the order, and blocks of an odd side are possible.
        orders = tuple(even_then_odd(n * b, b, i) for i in range(m)) if m > 1 else None
        scales = arrays["boft_s"].astype(np.float64).reshape(-1)
        return Rotation(_skew(blocks) / -2, "in", orders, scales=scales)
    rescale = arrays.get("rescale")
    scales = None if rescale is None else rescale.astype(np.float64).reshape(-1)
    if "oft_blocks" in arrays:
        q = _limited(_skew(arrays["oft_blocks"].astype(np.float64)), alpha)
        return Rotation(-q[None], "out", scales=scales)
    q = _limited(_skew(arrays["boft_blocks"].astype(np.float64)), alpha)
    m, n, b, _ = q.shape
    orders = tuple(interleaved(n * b, b, i) for i in range(m))
    return Rotation(q, "out", orders, scales=scales)


def _peft_oft(numbers: Float[np.ndarray, "n count"], alpha: Alpha) -> Rotation:
    b = skew_size(numbers.shape[1])
    upper = np.zeros((len(numbers), b, b))
    upper[:, *np.triu_indices(b, 1)] = numbers
    q = _skew(upper)[None]
    series = alpha.peft.cayley_series if alpha.peft else ()
    # PEFT's series has Q where its exact transform has −Q: either is kept as it is.
    return Rotation(q if series else -q, "in", series=series)


def _skew(blocks: Float[np.ndarray, "*n b b"]) -> Float[np.ndarray, "*n b b"]:
    return blocks - np.swapaxes(blocks, -1, -2)


def _limited(
    q: Float[np.ndarray, "*n b b"], alpha: Alpha
) -> Float[np.ndarray, "*n b b"]:
    """Q cut to the norm alpha · outputs; an alpha of 0 is no limit."""
    outputs = q.shape[-3] * q.shape[-1]
    limit, norm = (alpha.value or 0.0) * outputs, np.linalg.norm(q) + _TINY
    return q * (limit / norm) if 0 < limit < norm else q


def _stages_fit(blocks: tuple[int, ...]) -> bool:
    """Whether the stages' growing blocks divide the channels."""
    if len(blocks) != 4 or blocks[2] != blocks[3]:
        return False
    m, n, b, _ = blocks
    return m == 1 or (m <= 32 and b % 2 == 0 and n * b % (2 ** (m - 1) * b) == 0)


def _is_vector(shape: tuple[int, ...]) -> bool:
    return prod(shape) == max(shape, default=0)
