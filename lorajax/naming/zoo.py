"""The modules of `lorajax-zoo-1`, the small picture model that ships with the package.

The model is laid out as a U-Net in the diffusers manner: three stages, each a
residual block of 3x3 convolutions and a Transformer block that reads the caption.
The table below is the truth for both sides: `lorajax.zoo.base.model` builds its weights
from it, and a LoRA's keys are looked up in it. Its order gives the positions.
"""

from lorajax.naming.table import Module, ModuleTable

BASE_MODEL = "lorajax-zoo-1"
WIDTH = 64
FEED_FORWARD = 128
STAGES = ("down_blocks.0", "mid_block", "up_blocks.0")


def _resnet(stage: str) -> tuple[Module, ...]:
    """The residual block of a stage; the last also reads the first one's output."""
    in_ = 2 * WIDTH if stage == "up_blocks.0" else WIDTH
    name = f"unet.{stage}.resnets.0"
    shortcut = (Module(f"{name}.conv_shortcut", (WIDTH, in_, 1, 1)),)
    return (
        Module(f"{name}.conv1", (WIDTH, in_, 3, 3)),
        Module(f"{name}.time_emb_proj", (WIDTH, WIDTH)),
        Module(f"{name}.conv2", (WIDTH, WIDTH, 3, 3)),
        *(shortcut if in_ != WIDTH else ()),
    )


def _attention(stage: str) -> tuple[Module, ...]:
    """The Transformer block of a stage: twelve linear layers."""
    name = f"unet.{stage}.attentions.0"
    block = f"{name}.transformer_blocks.0"
    square = (WIDTH, WIDTH)
    return (
        Module(f"{name}.proj_in", square),
        *(
            Module(f"{block}.{attention}.{layer}", square)
            for attention in ("attn1", "attn2")
            for layer in ("to_q", "to_k", "to_v", "to_out.0")
        ),
        Module(f"{block}.ff.net.0.proj", (2 * FEED_FORWARD, WIDTH)),
        Module(f"{block}.ff.net.2", (WIDTH, FEED_FORWARD)),
        Module(f"{name}.proj_out", square),
    )


MODULES: tuple[Module, ...] = tuple(
    module for stage in STAGES for module in (*_resnet(stage), *_attention(stage))
)
TABLE = ModuleTable(BASE_MODEL, MODULES)
