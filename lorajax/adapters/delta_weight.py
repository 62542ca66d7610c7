"""ΔW as a jitted function: the dense reference of the whole project."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.jit
def delta_weight(
    up: Float[Array, "out rank"],
    down: Float[Array, "rank in_"],
    scale: Float[Array, ""] | float = 1.0,
) -> Float[Array, "out in_"]:
    """ΔW = scale · up @ down, compiled once for each shape.

    The product is taken in full float32 also where a GPU would round its inputs.

    >>> float(delta_weight(jnp.ones((2, 1)), jnp.ones((1, 3)), 0.5)[0, 0])
    0.5
    """
    return scale * jnp.matmul(up, down, precision=jax.lax.Precision.HIGHEST)
