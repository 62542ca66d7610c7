"""How the encoder is trained."""

from typing import Annotated, Literal

from pydantic import Field

from lorajax.config.section import Mixture, Section, Weight

Selected = Literal["triplet_accuracy", "map@10", "mrr", "ndcg@10"]


class LossWeights(Section):
    """How much each loss counts; they are added up, and zero switches one off.

    Attributes:
      triplet: of triplets of the batch, on cosine distance (the paper's).
      supervised_contrastive, multi_similarity, proxy_anchor, smooth_ap: of styles.
      listnet, approx_ndcg: of the whole order of a batch by graded likeness.
    """

    triplet: Weight = 0.0
    supervised_contrastive: Weight = 0.0
    multi_similarity: Weight = 0.0
    proxy_anchor: Weight = 0.0
    smooth_ap: Weight = 0.0
    listnet: Weight = 0.0
    approx_ndcg: Weight = 0.0


class TrainingSettings(Section):
    """Metric learning by AdamW with warm-up and cosine decay.

    Attributes:
      metric_learning: false leaves the encoder as it was initialised (the ablation
        "no metric learning").
      steps: optimiser steps per split.
      batch_loras: LoRAs encoded per step; every LoRA is encoded once.
      per_style: LoRAs of one style among them, where there are more than fit.
      losses: what is minimised.
      batch_triplets: triplets drawn among the LoRAs of a batch.
      margin: of the triplet loss, in cosine distance.
      reduction: `mean` over all triplets (the paper's) or over the `active` ones,
        those that still violate the margin.
      temperature: of cosines, in the supervised contrastive loss and in the losses of
        whole orders.
      teacher_temperature: of the teacher's likeness, in `listnet`.
      noise: of the scores in training, as a share of each module's root mean square.
      scale_jitter: of each LoRA's strength in training: standard deviation of its
        natural logarithm; with `encoder.normalise: unit` or `root` none is seen.
      truncation: share of the LoRAs of a batch that are seen at half their rank, as
        the leading singular triples of every update.
      select: what validation is judged by; the mean of several.
      mixture: weights of semi-hard, easy and too-easy negatives in training.
      branch_rate: learning rate of the Transformer's layers as a share of the rest's;
        below one where few styles would be learned by heart.
      weight_decay: not applied to biases, norms and positions.
      warmup: share of all steps with a rising learning rate.
      final_learning_rate: where cosine decay ends, as a share of the peak.
      validate_every: steps between validations; the best state is kept.
      checkpoint_every: steps between checkpoints that a run can resume from.
    """

    metric_learning: bool = True
    steps: Annotated[int, Field(ge=1)] = 200
    batch_loras: Annotated[int, Field(ge=3)] = 128
    per_style: Annotated[int, Field(ge=2)] = 8
    losses: LossWeights = LossWeights(triplet=1.0)
    batch_triplets: Annotated[int, Field(ge=1)] = 2048
    margin: Annotated[float, Field(gt=0.0, le=2.0)] = 0.3
    reduction: Literal["mean", "active"] = "active"
    temperature: Annotated[float, Field(gt=0.0)] = 0.1
    teacher_temperature: Annotated[float, Field(gt=0.0)] = 0.1
    noise: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    scale_jitter: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    truncation: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    select: Annotated[tuple[Selected, ...], Field(min_length=1)] = ("triplet_accuracy",)
    mixture: Mixture = (15.0, 5.0, 1.0)
    learning_rate: Annotated[float, Field(gt=0.0)] = 1e-3
    branch_rate: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-4
    warmup: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    final_learning_rate: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    gradient_clip: Annotated[float | None, Field(gt=0.0)] = 1.0
    validate_every: Annotated[int, Field(ge=1)] = 10
    checkpoint_every: Annotated[int, Field(ge=1)] = 50
