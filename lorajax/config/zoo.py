"""Settings of the zoo: the collection of really trained LoRAs with known truth."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from lorajax.config.section import Section

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Family = Literal["lora", "locon", "loha", "lokr", "superlora"]


def _has_share(families: dict[str, float]) -> dict[str, float]:
    if sum(families.values()) <= 0:
        raise ValueError("at least one family must have a share above zero")
    return families


class ZooBaseSettings(Section):
    """How the zoo's own base model was trained (`python -m lorajax.zoo.base.training`).

    Attributes:
      scenes: pictures drawn in advance and drawn from with replacement.
      ema: share of the running average of the weights kept at each step.
      drop_caption: share of pictures without a caption, for classifier-free guidance.
    """

    steps: Positive = 16_000
    batch_size: Positive = 32
    scenes: Positive = 65_536
    learning_rate: Annotated[float, Field(gt=0, le=0.1)] = 2e-2
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    drop_caption: Annotated[float, Field(ge=0, lt=1)] = 0.1
    seed: int = 1


class ZooSettings(Section):
    """The recipe of a collection; the default is the demo.

    Attributes:
      styles: how many styles; each is a composition of two or three attributes.
      loras_per_style: LoRAs of each style, with their own content and recipe.
      families: how often each parametrisation occurs, in any unit.
      steps: longest training; each LoRA trains 60 to 100 % of it.
      batch_size: pictures a LoRA sees in a step.
      together: LoRAs trained side by side in one compiled step.
      shared_down: share of the collection that starts from one common `down`, as
        real collections do whose trainers were run with one seed.
      captions: captions that every LoRA draws, half of them for either half of its
        behaviour set; 0 draws none.
      sampler_steps: Euler steps of a picture of the behaviour set.
      guidance: of those pictures, away from what no caption gives; none at 1.
      test_share: of the styles, kept for testing; at least two, at most a third.
      validation_share: of the styles, kept for choosing; likewise.
      synthetic: nothing is trained: files of random but structured numbers, for load
        tests alone.
      seed: everything random in the collection follows from it.
    """

    styles: Annotated[int, Field(ge=1, le=5000)] = 48
    loras_per_style: Annotated[int, Field(ge=1, le=1000)] = 4
    families: Annotated[dict[Family, Share], AfterValidator(_has_share)] = Field(
        default_factory=lambda: {"lora": 1.0}
    )
    steps: Positive = 100
    batch_size: Positive = 4
    together: Annotated[int, Field(ge=1, le=256)] = 16
    shared_down: Share = 0.5
    captions: Annotated[int, Field(ge=0, le=64, multiple_of=2)] = 16
    sampler_steps: Annotated[int, Field(ge=1, le=200)] = 8
    guidance: Annotated[float, Field(ge=0, le=20)] = 2.0
    test_share: Share = 0.25
    validation_share: Share = 0.1
    synthetic: bool = False
    seed: Annotated[int, Field(ge=0)] = 0
