"""The supervised contrastive loss: positives against all others."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Int

from lorajax.training.losses.masked import masked_log_softmax, masked_mean
from lorajax.training.losses.pairs import dot, labelled_pairs


def supervised_contrastive(
    embeddings: Float[Array, "b e"], labels: Int[Array, " b"], temperature: float
) -> Float32[Array, ""]:
    """Supervised contrastive loss, with the mean over positives outside the logarithm.

    Of an anchor i with positives P and all other known LoRAs A it is

      −1/|P| Σ_{p∈P} log( exp(cos(i, p)/T) / Σ_{a∈A} exp(cos(i, a)/T) ),

    averaged over the anchors that have a positive. `optax.losses.ntxent` is another
    loss: it leaves the other positives out of the denominator and averages over pairs.

    Args:
      embeddings: unit vectors.
      labels: below zero where unknown; such a LoRA takes no part.
      temperature: T.

    References:
      Khosla et al., Supervised Contrastive Learning, 2020 (L_out, equation 2).
    """
    positive, negative = labelled_pairs(labels)
    cosine = dot(embeddings, embeddings)
    log_share = masked_log_softmax(cosine / temperature, positive | negative)
    count = jnp.sum(positive, -1)
    total = jnp.sum(jnp.where(positive, log_share, 0.0), -1)
    return masked_mean(-total / jnp.maximum(count, 1), count > 0)
