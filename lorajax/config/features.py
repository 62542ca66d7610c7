"""How a module's update becomes a short vector."""

from typing import Literal

from pydantic import Field

from lorajax.config.section import Section

ProjectionKind = Literal["gram_pca", "sketch_pca", "incremental_pca"]


class FeatureSettings(Section):
    """Per-module projection.

    Attributes:
      projection: `gram_pca` is exact and works on the factors; `sketch_pca` works on a
        seeded two-sided sketch of bounded size, for collections of large files;
        `incremental_pca` is the paper's, over flattened updates, and slow.
      components: the upper bound of components per module and the width of features.
      batch: LoRAs per step of `incremental_pca`, at least `components` where the
        collection has so many.
      sketch: side of the square sketch of `sketch_pca`.
      max_basis_mb: a basis larger than this is refused before it is built.
    """

    projection: ProjectionKind = "gram_pca"
    components: int = Field(128, ge=1, le=4096)
    batch: int = Field(256, ge=2)
    sketch: int = Field(16, ge=2, le=128)
    max_basis_mb: int = Field(2048, ge=1)
