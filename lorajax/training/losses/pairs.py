"""Which pairs of a batch a loss may compare, and their cosines."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Float32, Int


class LabelledPairs(NamedTuple):
    """What labels say of all pairs, anchors in rows.

    Attributes:
      positive: another LoRA of the same label.
      negative: a LoRA of another label. A LoRA without a label is neither: it may well
        be of the anchor's style.
    """

    positive: Bool[Array, "b b"]
    negative: Bool[Array, "b b"]


def labelled_pairs(labels: Int[Array, " b"]) -> LabelledPairs:
    """Positive and negative pairs; a label below zero is unknown."""
    others = other_known(labels >= 0)
    same = labels[:, None] == labels[None, :]
    return LabelledPairs(others & same, others & ~same)


def other_known(known: Bool[Array, " b"]) -> Bool[Array, "b b"]:
    """Pairs of two different LoRAs, both known."""
    return known[:, None] & known[None, :] & ~jnp.eye(len(known), dtype=bool)


def dot(left: Float[Array, "b e"], right: Float[Array, "c e"]) -> Float32[Array, "b c"]:
    """Cosines of unit vectors."""
    # Temperatures of 0.01 multiply rounding a hundredfold, and GPUs round the factors
    # of a product to 10 bits unless told not to.
    left, right = left.astype(jnp.float32), right.astype(jnp.float32)
    return jnp.matmul(left, right.T, precision="highest")
