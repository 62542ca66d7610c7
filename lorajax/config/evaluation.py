"""How held-out LoRAs are chosen and scored."""

from typing import Annotated

from pydantic import Field

from lorajax.config.section import Section


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
    mixture: tuple[float, float, float] = (10.0, 4.0, 2.0)
