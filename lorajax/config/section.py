"""The base of every settings section: frozen, and unknown keys are refused."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Section(BaseModel):
    """Validated, immutable settings; a misspelt key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _has_weight(mixture: tuple[float, float, float]) -> tuple[float, float, float]:
    if sum(mixture) <= 0:
        raise ValueError("at least one of the three weights must be above zero")
    return mixture


Weight = Annotated[float, Field(ge=0.0)]
Mixture = Annotated[tuple[Weight, Weight, Weight], AfterValidator(_has_weight)]
