"""How the encoder is trained."""

from typing import Annotated, Literal

from pydantic import Field

from lorajax.config.section import Mixture, Section


class TrainingSettings(Section):
    """Triplet training by AdamW with warm-up and cosine decay.

    Attributes:
      metric_learning: false leaves the encoder as it was initialised (the ablation
        "no metric learning").
      steps: optimiser steps per split.
      batch_loras: LoRAs encoded per step; every LoRA is encoded once.
      batch_triplets: triplets drawn among them.
      margin: of the triplet loss, in cosine distance.
      reduction: `mean` over all triplets (the paper's) or over the `active` ones,
        those that still violate the margin.
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
    batch_triplets: Annotated[int, Field(ge=1)] = 2048
    margin: Annotated[float, Field(gt=0.0, le=2.0)] = 0.3
    reduction: Literal["mean", "active"] = "active"
    mixture: Mixture = (15.0, 5.0, 1.0)
    learning_rate: Annotated[float, Field(gt=0.0)] = 1e-3
    branch_rate: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-4
    warmup: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    final_learning_rate: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    gradient_clip: Annotated[float | None, Field(gt=0.0)] = 1.0
    validate_every: Annotated[int, Field(ge=1)] = 10
    checkpoint_every: Annotated[int, Field(ge=1)] = 50
