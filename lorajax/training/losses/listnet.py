"""A teacher's whole row of likeness, learned as a distribution."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Float32

from lorajax.training.losses.masked import masked_log_softmax, masked_mean
from lorajax.training.losses.pairs import dot, other_known


def listnet(
    embeddings: Float[Array, "b e"],
    similarity: Float[Array, "b b"],
    known: Bool[Array, " b"],
    temperature: float,
    teacher_temperature: float,
) -> Float32[Array, ""]:
    """Divergence of the embeddings' top-one probabilities from the teacher's.

    Of an anchor i, with all other known LoRAs as candidates,

      KL( softmax(similarity_i / T_teacher) ‖ softmax(cos_i / T) ),

    averaged over the known anchors with at least two candidates: one candidate has a
    probability of one, whatever its likeness. ListNet is the cross-entropy, which
    differs by the teacher's entropy: gradients are the same, and zero is a perfect fit.

    Args:
      embeddings: unit vectors.
      similarity: the teacher's likeness of pairs, on any scale; the diagonal and what
        is not known are not read.
      known: LoRAs that the teacher knows.
      temperature: T.
      teacher_temperature: T_teacher, on the teacher's scale.

    References:
      Cao et al., Learning to Rank: From Pairwise Approach to Listwise Approach, 2007.
    """
    others = other_known(known)
    cosine = dot(embeddings, embeddings)
    teacher = similarity.astype(jnp.float32) / teacher_temperature
    divergence = optax.losses.kl_divergence_with_log_targets(
        masked_log_softmax(cosine / temperature, others),
        masked_log_softmax(teacher, others),
        where=others,
    )
    return masked_mean(jnp.asarray(divergence), jnp.sum(others, -1) >= 2)
