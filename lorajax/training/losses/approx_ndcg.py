"""Normalised discounted cumulative gain, made smooth."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Float32

from lorajax.training.losses.masked import masked_mean
from lorajax.training.losses.pairs import dot, other_known
from lorajax.training.losses.ranks import for_each_anchor, soft_ranks


def approx_ndcg(
    embeddings: Float[Array, "b e"],
    similarity: Float[Array, "b b"],
    known: Bool[Array, " b"],
    temperature: float,
) -> Float32[Array, ""]:
    """One minus the mean nDCG of relaxed ranks.

    Of an anchor, with all other known LoRAs as candidates,

      nDCG = Σ_j gain_j / log2(1 + rank_j)  /  Σ_k gain_(k) / log2(1 + k),

    gain = max(similarity, 0) as in the metric, gain_(k) the k-th largest, and ranks
    with a sigmoid for every step (`soft_ranks`). The mean is over the known anchors
    that have a positive gain.

    Args:
      embeddings: unit vectors.
      similarity: the teacher's likeness of pairs, on any scale; the diagonal and what
        is not known are not read.
      known: LoRAs that the teacher knows.
      temperature: of the sigmoid, in cosine; a pair further apart has no gradient.

    References:
      Qin, Liu and Li, A General Approximation Framework for Direct Optimization of
      Information Retrieval Measures, 2010; Järvelin and Kekäläinen, Cumulated
      Gain-Based Evaluation of IR Techniques, 2002 (nDCG).
    """

    def discounted_gain(
        scores: Float[Array, " b"], gain: Float[Array, " b"], others: Bool[Array, " b"]
    ) -> Float[Array, ""]:
        return jnp.sum(gain / jnp.log2(1.0 + soft_ranks(scores, others, temperature)))

    others = other_known(known)
    gain = jnp.where(others, jnp.maximum(similarity.astype(jnp.float32), 0.0), 0.0)
    found = for_each_anchor(discounted_gain, dot(embeddings, embeddings), gain, others)
    places = jnp.arange(2.0, 2.0 + len(known))
    ideal = jnp.sum(jnp.sort(gain, -1, descending=True) / jnp.log2(places), -1)
    alike = ideal > 0
    return masked_mean(1.0 - found / jnp.where(alike, ideal, 1.0), alike)
