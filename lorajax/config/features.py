"""How a module's update becomes a short vector."""

from typing import Annotated, Literal

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
      batch: LoRAs per step of `incremental_pca`; raised to the number of components
        where it is smaller, as the method needs.
      sketch: side of the square sketch of `sketch_pca`.
      max_basis_mb: `gram_pca` and `incremental_pca` hold all factors in memory; a
        collection with more of them is refused while it is read.
    """

    projection: ProjectionKind = "gram_pca"
    components: Annotated[int, Field(ge=1, le=4096)] = 128
    batch: Annotated[int, Field(ge=2)] = 256
    sketch: Annotated[int, Field(ge=2, le=128)] = 16
    max_basis_mb: Annotated[int, Field(ge=1)] = 2048
