"""Which LoRAs a job works on and where their supervision comes from."""

from typing import Annotated, Literal

from pydantic import Field

from lorajax.config.section import Section

SupervisionKind = Literal[
    "auto", "triplets", "rankings", "behaviour", "tags", "folders", "none"
]

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Spread = Annotated[float, Field(gt=0.0, le=1.0)]


class CollectionSettings(Section):
    """The collection of a job.

    Attributes:
      path: a folder of LoRA files; none means the demo collection, which is trained
        once and kept in the user's cache directory.
      base_model: which base model's LoRAs to use; none means the one with most files.
      supervision: what says which LoRAs are alike. `auto` takes the first found of
        triplet files, ranking files, a rendered behaviour set, tags and folder names.
      image_encoder: an ONNX file whose vectors describe the pictures of a rendered
        behaviour set; none means our own measures.
      image_mean, image_std: of red, green and blue, in [0, 1], in the pictures that it
        was trained on; the defaults are CLIP's.
    """

    path: str | None = None
    base_model: str | None = None
    supervision: SupervisionKind = "auto"
    image_encoder: str | None = None
    image_mean: tuple[Share, Share, Share] = (0.48145466, 0.4578275, 0.40821073)
    image_std: tuple[Spread, Spread, Spread] = (0.26862954, 0.26130258, 0.27577711)
