"""How held-out LoRAs are chosen and scored."""

from typing import Annotated

from pydantic import Field, model_validator

from lorajax.config.collection import SupervisionKind
from lorajax.config.section import Mixture, Section

MOST_HELD_OUT = 0.8


class EvaluationSettings(Section):
    """Splits by style: a style is in training, in selection or in the test.

    Attributes:
      splits: number of independent splits; each has its own basis and encoder, and
        split 0 is the one that is exported.
      validation, test: shares of the styles.
      test_ids: a file with the names of the test LoRAs, one a line, relative to the
        collection; then every split has these, and no other LoRA of their styles is
        learned from. Seeds change what is learned from and what selects.
      teacher: what says which held-out LoRAs are alike; none means what was learned
        from. Selection never asks it.
      tag_triplets, human_triplets, rankings: files about the test LoRAs, in the formats
        of the paper's benchmark and relative to the collection: its three experiments.
      dimensions: sizes that the vectors are also cut to, by their principal directions
        over the LoRAs that were learned from.
      controls: whether similarities that learn nothing are measured beside.
      triplets: test triplets drawn per split.
      mixture: weights of semi-hard, easy and too-easy negatives in validation and test.
    """

    splits: Annotated[int, Field(ge=1, le=100)] = 3
    validation: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.2
    test: Annotated[float, Field(gt=0.0, lt=0.6)] = 0.3
    test_ids: str | None = None
    teacher: SupervisionKind | None = None
    tag_triplets: str | None = None
    human_triplets: str | None = None
    rankings: str | None = None
    dimensions: tuple[Annotated[int, Field(ge=1)], ...] = ()
    controls: bool = False
    triplets: Annotated[int, Field(ge=1)] = 4000
    mixture: Mixture = (10.0, 4.0, 2.0)

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> "EvaluationSettings":
        if self.validation + self.test > MOST_HELD_OUT:
            raise ValueError(
                f"evaluation.validation {self.validation} and evaluation.test "
                f"{self.test} together hold out more than {MOST_HELD_OUT}"
            )
        return self
