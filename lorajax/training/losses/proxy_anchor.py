"""The proxy-anchor loss: a learned vector of each label is the anchor."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Int

from lorajax.training.losses.masked import log_one_plus_sum_exp, masked_mean
from lorajax.training.losses.pairs import dot


def proxy_anchor(
    embeddings: Float[Array, "b e"],
    labels: Int[Array, " b"],
    proxies: Float[Array, "c e"],
    alpha: float = 32.0,
    margin: float = 0.1,
) -> Float32[Array, ""]:
    """Proxy-anchor loss.

    Of a proxy p, with P the LoRAs of its label and N those of others,

      log(1 + Σ_{x∈P} exp(−α (cos(x, p) − δ)))  averaged over proxies that have a P,
      + log(1 + Σ_{x∈N} exp(α (cos(x, p) + δ)))  averaged over all proxies.

    Args:
      embeddings: unit vectors.
      labels: 0 to c − 1, or below zero where unknown; such a LoRA takes no part.
      proxies: one of each label, learned with the encoder; of any length.
      alpha: sharpness.
      margin: δ, in cosine.

    References:
      Kim et al., Proxy Anchor Loss for Deep Metric Learning, 2020.
    """
    cosine = dot(_unit(proxies), embeddings)  # [c, b]
    own = jnp.arange(len(proxies))[:, None] == labels[None, :]
    pull = log_one_plus_sum_exp(-alpha * (cosine - margin), own)
    push = log_one_plus_sum_exp(alpha * (cosine + margin), ~own & (labels >= 0))
    return masked_mean(pull, own.any(-1)) + jnp.mean(push)


def _unit(vectors: Float[Array, "c e"]) -> Float32[Array, "c e"]:
    """Vectors of length one; zero stays zero."""
    vectors = vectors.astype(jnp.float32)
    squared = jnp.sum(vectors**2, -1, keepdims=True)
    # Inside the root, or its infinite slope at zero makes NaN of the gradient.
    return vectors / jnp.sqrt(jnp.where(squared > 0, squared, 1.0))
