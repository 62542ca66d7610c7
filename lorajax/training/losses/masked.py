"""Reductions over what a mask keeps, with finite gradients where it keeps nothing."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

# exp of it is zero. It is finite, since a row of −∞ is NaN on the way: masked again in
# the end, but `jax_debug_nans` would stop there.
NEVER = -1e30


def masked_mean(
    values: Float[Array, "*b"], where: Bool[Array, "*b"]
) -> Float[Array, ""]:
    """Mean of the kept values, zero where there are none."""
    total = jnp.sum(jnp.where(where, values, 0.0))
    return total / jnp.maximum(jnp.sum(where), 1)


def masked_log_softmax(
    logits: Float[Array, "b c"], where: Bool[Array, "b c"]
) -> Float[Array, "b c"]:
    """Log-softmax of each row over the kept; the others have a probability of zero."""
    return jax.nn.log_softmax(jnp.where(where, logits, NEVER), axis=-1)


def log_one_plus_sum_exp(
    exponents: Float[Array, "b c"], where: Bool[Array, "b c"]
) -> Float[Array, " b"]:
    """log(1 + Σ exp x) of each row over the kept, zero where there are none."""
    kept = jnp.where(where, exponents, NEVER)
    return jax.nn.softplus(jax.nn.logsumexp(kept, axis=-1))
