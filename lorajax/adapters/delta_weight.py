"""ΔW as jitted functions: the dense reference of the whole project."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lorajax.adapters.interface import Update
from lorajax.adapters.low_rank import LowRankUpdate

# Ranks are padded with zeros to the next of these, so that a new rank is no new
# function to compile; beyond them to the next power of two.
_SMALLEST_BUCKET = 4
_TOGETHER = 32


@jax.jit
def delta_weight(
    up: Float[Array, "*b out rank"],
    down: Float[Array, "*b rank in_"],
    scale: Float[Array, "*b"] | float = 1.0,
) -> Float[Array, "*b out in_"]:
    """ΔW = scale · up @ down, compiled once for each shape.

    The product is taken in full float32 also where a GPU would round its inputs.

    >>> float(delta_weight(jnp.ones((2, 1)), jnp.ones((1, 3)), 0.5)[0, 0])
    0.5
    """
    product = jnp.matmul(
        up.astype(jnp.float32),
        down.astype(jnp.float32),
        precision=jax.lax.Precision.HIGHEST,
    )
    return jnp.asarray(scale, jnp.float32)[..., None, None] * product


def rank_bucket(rank: int) -> int:
    """The rank that factors are padded to: a power of two, 4 at least.

    >>> rank_bucket(1), rank_bucket(32), rank_bucket(33)
    (4, 32, 64)
    """
    return max(_SMALLEST_BUCKET, 1 << (rank - 1).bit_length())


def delta_weights(updates: Sequence[Update]) -> Float[np.ndarray, "b out in_"]:
    """The dense updates of one module over several LoRAs, some in each call."""
    dense = np.empty((len(updates), *updates[0].shape), np.float32)
    for start in range(0, len(updates), _TOGETHER):
        part = updates[start : start + _TOGETHER]
        plain = [update for update in part if isinstance(update, LowRankUpdate)]
        if len(plain) == len(part):
            dense[start : start + len(part)] = _together(plain)
        else:
            dense[start : start + len(part)] = [update.dense() for update in part]
    return dense


def _together(updates: Sequence[LowRankUpdate]) -> Float[np.ndarray, "b out in_"]:
    """Ranks and numbers of LoRAs are padded to powers of two: few shapes to compile."""
    (out, in_), count = updates[0].shape, 1 << (len(updates) - 1).bit_length()
    rank = rank_bucket(max(update.rank for update in updates))
    up, down = np.zeros((count, out, rank), "f4"), np.zeros((count, rank, in_), "f4")
    scale = np.ones(count, "f4")
    for i, update in enumerate(updates):
        up[i, :, : update.rank], down[i, : update.rank] = update.up, update.down
        scale[i] = update.scale
    return np.asarray(delta_weight(up, down, scale))[: len(updates)]
