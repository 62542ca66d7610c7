"""The shape of the encoder and its ablations."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lorajax.config.section import Section


class EncoderSettings(Section):
    """A Transformer encoder over the modules of a LoRA.

    Attributes:
      start: `random` is the paper's encoder, from scratch on the projected vectors;
        `geometry` gives every module its own linear map, begins at a
        distance-preserving projection of the unlearned features, and adds the
        Transformer as branches that begin at zero.
      normalise: what is done to a module's scores before anything is learned: `none`,
        `rms` (divided by the root mean square length of that module over the training
        set), `unit` (length one) or `root` (the root of its length, as a share of the
        LoRA's mean length).
      width: width of the encoder and of the embedding.
      positions: whether a learned vector per module is added.
      layer_weights: `mlp` weighs every layer by an MLP with a softmax over layers,
        separately per channel; `mean` is the plain mean.
      values: what is weighed: `transformed` is what the Transformer hands on (the
        paper's); `mapped` are the modules' own vectors before it, so that it decides
        nothing but the weights, and learns less by heart.
    """

    start: Literal["random", "geometry"] = "geometry"
    normalise: Literal["none", "rms", "unit", "root"] = "unit"
    width: Annotated[int, Field(ge=4)] = 256
    layers: Annotated[int, Field(ge=0, le=48)] = 2
    heads: Annotated[int, Field(ge=1)] = 4
    ffn: Annotated[int, Field(ge=1)] = 512
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    module_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    positions: bool = True
    layer_weights: Literal["mlp", "mean"] = "mlp"
    values: Literal["transformed", "mapped"] = "transformed"
    layer_weights_hidden: Annotated[int, Field(ge=1)] = 128
    layer_weights_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "EncoderSettings":
        if self.width % self.heads:
            raise ValueError(
                f"encoder.width {self.width} is not a multiple of "
                f"encoder.heads {self.heads}"
            )
        return self

    @model_validator(mode="after")
    def _transformer_decides_something(self) -> "EncoderSettings":
        if self.values == "mapped" and self.layers and self.layer_weights == "mean":
            raise ValueError(
                "encoder.values=mapped with encoder.layer_weights=mean leaves "
                f"{self.layers} Transformer layers without effect; set "
                "encoder.layers=0, or encoder.layer_weights=mlp"
            )
        return self
