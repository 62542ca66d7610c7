"""The triplet loss: an order of two, asked of a third."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def cosine_triplet_loss(
    embeddings: Float[Array, "b e"],
    triplets: Int[Array, "t 3"],
    margin: float,
    reduction: str = "mean",
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Triplet loss on cosine distance, with every LoRA encoded once.

    relu((1 − cos(a, p)) − (1 − cos(a, n)) + margin), over triplets of a batch.

    Args:
      embeddings: unit vectors.
      triplets: rows of anchor, positive and negative.
      margin: in cosine distance.
      reduction: `mean` over all triplets, or over the `active` ones, whose loss is
        above zero, so that solved triplets do not dilute the gradient.

    Returns:
      The loss, and the triplet accuracy: the share with cos(a, p) > cos(a, n).

    References:
      Schroff, Kalenichenko and Philbin, FaceNet, 2015; Hermans, Beyer and Leibe, In
      Defense of the Triplet Loss, 2017 (active triplets).
    """
    anchor, positive, negative = (embeddings[triplets[:, i]] for i in range(3))
    gap = jnp.sum(anchor * negative, -1) - jnp.sum(anchor * positive, -1)
    losses = jax.nn.relu(gap + margin)
    accuracy = jnp.mean(gap < 0)
    if reduction == "active":
        active = jnp.sum(losses > 0)
        return jnp.sum(losses) / jnp.maximum(active, 1), accuracy
    return jnp.mean(losses), accuracy
