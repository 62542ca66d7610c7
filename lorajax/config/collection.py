"""Which LoRAs a job works on and where their supervision comes from."""

from typing import Literal

from lorajax.config.section import Section

SupervisionKind = Literal[
    "auto", "triplets", "rankings", "behaviour", "tags", "folders", "none"
]


class CollectionSettings(Section):
    """The collection of a job.

    Attributes:
      path: a folder of LoRA files; none means the demo collection, which is trained
        once and kept in the user's cache directory.
      base_model: which base model's LoRAs to use; none means the one with most files.
      supervision: what says which LoRAs are alike. `auto` takes the first found of
        triplet files, ranking files, a rendered behaviour set, tags and folder names.
    """

    path: str | None = None
    base_model: str | None = None
    supervision: SupervisionKind = "auto"
