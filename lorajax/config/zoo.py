"""Settings of the zoo: the collection of really trained LoRAs with known truth."""

from typing import Annotated

from pydantic import Field

from lorajax.config.section import Section

Positive = Annotated[int, Field(ge=1)]


class ZooBaseSettings(Section):
    """How the zoo's own base model was trained (`python -m lorajax.zoo.base_training`).

    Attributes:
      scenes: pictures drawn in advance and drawn from with replacement.
      ema: share of the running average of the weights kept at each step.
      drop_caption: share of pictures without a caption, for classifier-free guidance.
    """

    steps: Positive = 14_000
    batch_size: Positive = 64
    scenes: Positive = 65_536
    learning_rate: Annotated[float, Field(gt=0, le=0.1)] = 2e-3
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    drop_caption: Annotated[float, Field(ge=0, lt=1)] = 0.1
    seed: int = 1


class ZooSettings(Section):
    """The recipe of a collection; the default is the demo.

    Attributes:
      styles: how many styles; each is a composition of two or three attributes.
      loras_per_style: LoRAs of each style, with their own content and recipe.
      steps: longest training; each LoRA trains 60 to 100 % of it.
      batch_size: pictures a LoRA sees in a step.
      together: LoRAs trained side by side in one compiled step.
      shared_down: share of the collection that starts from one common `down`, as
        real collections do whose trainers were run with one seed.
      seed: everything random in the collection follows from it.
    """

    styles: Annotated[int, Field(ge=1, le=5000)] = 48
    loras_per_style: Annotated[int, Field(ge=1, le=1000)] = 4
    steps: Positive = 100
    batch_size: Positive = 4
    together: Annotated[int, Field(ge=1, le=256)] = 16
    shared_down: Annotated[float, Field(ge=0, le=1)] = 0.5
    seed: Annotated[int, Field(ge=0)] = 0
