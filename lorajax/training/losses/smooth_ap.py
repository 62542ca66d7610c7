"""Average precision, made smooth."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Float32, Int

from lorajax.training.losses.masked import masked_mean
from lorajax.training.losses.pairs import dot, labelled_pairs
from lorajax.training.losses.ranks import for_each_anchor, soft_ranks


def smooth_ap(
    embeddings: Float[Array, "b e"], labels: Int[Array, " b"], temperature: float = 0.01
) -> Float32[Array, ""]:
    """One minus the mean average precision of relaxed ranks.

    Of an anchor with positives P, every known other LoRA being a candidate,

      AP = 1/|P| Σ_{p∈P} rank of p among P / rank of p among all candidates,

    each rank with a sigmoid for every step (`soft_ranks`); the mean is over the anchors
    that have a positive.

    Args:
      embeddings: unit vectors.
      labels: below zero where unknown; such a LoRA takes no part.
      temperature: of the sigmoid, in cosine; a pair further apart has no gradient.

    References:
      Brown et al., Smooth-AP: Smoothing the Path Towards Large-Scale Image Retrieval,
      2020.
    """

    def average_precision(
        scores: Float[Array, " b"],
        positive: Bool[Array, " b"],
        negative: Bool[Array, " b"],
    ) -> Float[Array, ""]:
        among_positives = soft_ranks(scores, positive, temperature)
        among_all = soft_ranks(scores, positive | negative, temperature)
        return masked_mean(among_positives / among_all, positive)

    positive, negative = labelled_pairs(labels)
    cosine = dot(embeddings, embeddings)
    precision = for_each_anchor(average_precision, cosine, positive, negative)
    return masked_mean(1.0 - precision, jnp.any(positive, -1))
