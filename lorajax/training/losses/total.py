"""The sum that a configuration asks for, and what it needs to know of a batch."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from lorajax.config.training import TrainingSettings
from lorajax.training.losses.approx_ndcg import approx_ndcg
from lorajax.training.losses.listnet import listnet
from lorajax.training.losses.multi_similarity import multi_similarity
from lorajax.training.losses.proxy_anchor import proxy_anchor
from lorajax.training.losses.smooth_ap import smooth_ap
from lorajax.training.losses.supervised_contrastive import supervised_contrastive
from lorajax.training.losses.triplet import cosine_triplet_loss

OF_STYLES = ("supervised_contrastive", "multi_similarity", "proxy_anchor", "smooth_ap")
OF_ORDER = ("listnet", "approx_ndcg")


class Truths(NamedTuple):
    """What is known of the LoRAs of a batch.

    Attributes:
      triplets: rows of anchor, positive and negative; none where nobody asks for them.
      labels: the number of each LoRA's style, −1 where it is unknown.
      similarity: graded likeness of all pairs.
      known: of which LoRAs the likeness says anything.
    """

    triplets: Int[Array, "t 3"]
    labels: Int[Array, " b"]
    similarity: Float[Array, "b b"]
    known: Bool[Array, " b"]


def total_loss(
    embeddings: Float[Array, "b e"],
    proxies: Float[Array, "c e"],
    truths: Truths,
    settings: TrainingSettings,
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """The weighted sum of all losses that are switched on.

    Returns:
      The sum, and what it is made of: each loss by its name, and `accuracy`, that of
      the triplets, where there are any.
    """
    labels, graded = truths.labels, (truths.similarity, truths.known)
    warm, teacher = settings.temperature, settings.teacher_temperature
    losses = {
        "supervised_contrastive": lambda: supervised_contrastive(
            embeddings, labels, warm
        ),
        "multi_similarity": lambda: multi_similarity(embeddings, labels),
        "proxy_anchor": lambda: proxy_anchor(embeddings, labels, proxies),
        "smooth_ap": lambda: smooth_ap(embeddings, labels),
        "listnet": lambda: listnet(embeddings, *graded, warm, teacher),
        "approx_ndcg": lambda: approx_ndcg(embeddings, *graded, warm),
    }
    weights = {name: getattr(settings.losses, name) for name in losses}
    parts = {name: loss() for name, loss in losses.items() if weights[name]}
    total = sum((weights[name] * parts[name] for name in parts), jnp.zeros(()))
    if settings.losses.triplet:
        parts["triplet"], parts["accuracy"] = cosine_triplet_loss(
            embeddings, truths.triplets, settings.margin, settings.reduction
        )
        total += settings.losses.triplet * parts["triplet"]
    return total, parts
