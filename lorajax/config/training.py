"""How the encoder is trained."""

from typing import Literal

from pydantic import Field

from lorajax.config.section import Section


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
      weight_decay: not applied to biases, norms and positions.
      warmup: share of all steps with a rising learning rate.
      final_learning_rate: where cosine decay ends, as a share of the peak.
      validate_every: steps between validations; the best state is kept.
      checkpoint_every: steps between checkpoints that a run can resume from.
    """

    metric_learning: bool = True
    steps: int = Field(200, ge=1)
    batch_loras: int = Field(128, ge=3)
    batch_triplets: int = Field(2048, ge=1)
    margin: float = Field(0.3, gt=0.0, le=2.0)
    reduction: Literal["mean", "active"] = "active"
    mixture: tuple[float, float, float] = (15.0, 5.0, 1.0)
    learning_rate: float = Field(1e-3, gt=0.0)
    weight_decay: float = Field(1e-4, ge=0.0)
    warmup: float = Field(0.2, ge=0.0, le=1.0)
    final_learning_rate: float = Field(0.05, ge=0.0, le=1.0)
    gradient_clip: float | None = Field(1.0, gt=0.0)
    validate_every: int = Field(10, ge=1)
    checkpoint_every: int = Field(50, ge=1)
