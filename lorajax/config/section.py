"""The base of every settings section: frozen, and unknown keys are refused."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Validated, immutable settings; a misspelt key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")
