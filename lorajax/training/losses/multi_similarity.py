"""The multi-similarity loss: pairs mined and weighted by three similarities."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Int

from lorajax.training.losses.masked import log_one_plus_sum_exp, masked_mean
from lorajax.training.losses.pairs import LabelledPairs, dot, labelled_pairs


def multi_similarity(
    embeddings: Float[Array, "b e"],
    labels: Int[Array, " b"],
    alpha: float = 2.0,
    beta: float = 50.0,
    base: float = 0.5,
    epsilon: float = 0.1,
) -> Float32[Array, ""]:
    """Multi-similarity loss, with the pair mining of the paper.

    Of an anchor i with mined positives P and mined negatives N it is

      1/α log(1 + Σ_{p∈P} exp(−α (cos(i, p) − λ)))
      + 1/β log(1 + Σ_{n∈N} exp(β (cos(i, n) − λ))),

    averaged over the anchors that have a positive and a negative before mining; in the
    paper's batches those are all.

    Args:
      embeddings: unit vectors.
      labels: below zero where unknown; such a LoRA takes no part.
      alpha: sharpness of the weights of positives.
      beta: the same of negatives.
      base: λ, the cosine that parts positives from negatives.
      epsilon: how near to the hardest opposite a pair must be to be mined.

    References:
      Wang et al., Multi-Similarity Loss with General Pair Weighting for Deep Metric
      Learning, 2019.
    """
    pairs = labelled_pairs(labels)
    cosine = dot(embeddings, embeddings)
    positive, negative = _mined(cosine, pairs, epsilon)
    pull = log_one_plus_sum_exp(-alpha * (cosine - base), positive) / alpha
    push = log_one_plus_sum_exp(beta * (cosine - base), negative) / beta
    return masked_mean(pull + push, pairs.positive.any(-1) & pairs.negative.any(-1))


def _mined(
    cosine: Float[Array, "b b"], pairs: LabelledPairs, epsilon: float
) -> LabelledPairs:
    """Pairs within epsilon of being in the wrong order, or in it.

    That is, negatives against the least alike positive and positives against the most
    alike negative. An anchor without positives keeps no negative, and conversely.
    """
    least = jnp.min(jnp.where(pairs.positive, cosine, jnp.inf), -1, keepdims=True)
    most = jnp.max(jnp.where(pairs.negative, cosine, -jnp.inf), -1, keepdims=True)
    return LabelledPairs(
        pairs.positive & (cosine < most + epsilon),
        pairs.negative & (cosine > least - epsilon),
    )
