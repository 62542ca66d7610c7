"""How held-out LoRAs are chosen and scored."""

from typing import Annotated

from pydantic import Field, model_validator

from lorajax.config.section import Mixture, Section

MOST_HELD_OUT = 0.8


class EvaluationSettings(Section):
    """Splits by style: a style is in training, in selection or in the test.

    Attributes:
      splits: number of independent splits; each has its own basis and encoder, and
        split 0 is the one that is exported.
      validation, test: shares of the styles.
      triplets: test triplets drawn per split.
      mixture: weights of semi-hard, easy and too-easy negatives in validation and test.
    """

    splits: Annotated[int, Field(ge=1, le=100)] = 3
    validation: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.2
    test: Annotated[float, Field(gt=0.0, lt=0.6)] = 0.3
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
