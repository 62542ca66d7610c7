"""Ranks that have a gradient, of one anchor's candidates after another's."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

# Anchors whose b × b comparisons are in memory together. All b of them would take
# 4 GB for a thousand LoRAs.
ANCHORS_AT_ONCE = 32


def soft_ranks(
    scores: Float[Array, " b"], among: Bool[Array, " b"], temperature: float
) -> Float[Array, " b"]:
    """Relaxed rank of each candidate: 1 + Σ_{j ≠ i, j among} σ((s_j − s_i) / T).

    It goes to the true rank, counted from one, as T goes to zero.
    """
    above = jax.nn.sigmoid((scores[None, :] - scores[:, None]) / temperature)
    counted = among[None, :] & ~jnp.eye(len(scores), dtype=bool)
    return 1.0 + jnp.sum(jnp.where(counted, above, 0.0), -1)


def for_each_anchor(
    measure: Callable[..., Float[Array, ""]], *rows: Array
) -> Float[Array, " b"]:
    """`measure` of each anchor's rows, some anchors at a time.

    The backward pass compares again instead of keeping what the forward pass compared.
    """
    again = jax.checkpoint(measure)
    return jax.lax.map(lambda row: again(*row), rows, batch_size=ANCHORS_AT_ONCE)
