"""How a module's update becomes a short vector."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lorajax.config.section import Section

ProjectionKind = Literal["sketch_pca", "gram_pca", "incremental_pca"]
Scaling = Literal["none", "root", "unit"]
Keeping = Literal["components", "mean"]


class FeatureSettings(Section):
    """Per-module projection.

    Attributes:
      projection: `sketch_pca` sees an update from both sides through a few directions
        that a module's LoRAs share, and holds no LoRA in memory; `gram_pca` is exact
        and holds all factors; `incremental_pca` is the paper's, over flattened
        updates, and slow.
      components: the upper bound of components per module and the width of features.
      scale: what each module's update is divided by before anything is fitted:
        nothing, the root of its norm, or its norm.
      centre: whether the mean of the training LoRAs is taken away.
      keep: `mean` keeps of every module a single number, how far it goes along the
        mean of the training LoRAs: a control, which shows what components add to it.
      side: directions on either side of `sketch_pca`; its core has their square.
      sides_from: LoRAs that the directions are fitted on, at most.
      batch: LoRAs per step of `incremental_pca`; raised to the number of components
        where it is smaller, as the method needs.
      max_basis_mb: how many factors may be held in memory. `gram_pca` and
        `incremental_pca` refuse a collection with more of them while it is read;
        `sketch_pca` reads its files again.
      cache_mb: how much disk the features of former runs may take in the cache.
    """

    projection: ProjectionKind = "sketch_pca"
    components: Annotated[int, Field(ge=1, le=4096)] = 128
    scale: Scaling = "root"
    centre: bool = True
    keep: Keeping = "components"
    side: Annotated[int, Field(ge=2, le=64)] = 16
    sides_from: Annotated[int, Field(ge=2)] = 128
    batch: Annotated[int, Field(ge=2)] = 256
    max_basis_mb: Annotated[int, Field(ge=1)] = 2048
    cache_mb: Annotated[int, Field(ge=0)] = 8192

    @model_validator(mode="after")
    def _paper_has_no_controls(self) -> "FeatureSettings":
        plain = self.centre and self.keep == "components"
        if self.projection == "incremental_pca" and not plain:
            raise ValueError(
                "incremental_pca always centres and keeps components; choose another "
                "features.projection for features.centre=false or features.keep=mean"
            )
        return self
