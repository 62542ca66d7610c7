"""Module tables of Stable Diffusion 1.x, 2.x and XL, made by walking the architecture.

A table holds what trainers update: the attention blocks' linear layers and 1x1
convolutions (LoRA) and the residual blocks' and samplers' convolutions (LoCon), then
the text encoders. Blocks come in the order in which a picture passes them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lorajax.naming.table import Module, ModuleTable


@dataclass(frozen=True)
class UNet:
    """The numbers that tell one Stable Diffusion U-Net from another.

    Attributes:
      channels: width of each level.
      depths: Transformer blocks per attention at each level (0: no attention).
      context: width of the text features that cross-attention reads.
      time: width of the time embedding.
      linear_projection: whether `proj_in` and `proj_out` are linear layers.
    """

    channels: tuple[int, ...]
    depths: tuple[int, ...]
    context: int
    time: int = 1280
    linear_projection: bool = True

    @property
    def levels(self) -> int:
        return len(self.channels)


@dataclass(frozen=True)
class TextEncoder:
    """A CLIP text encoder: how many layers, how wide."""

    component: str
    layers: int
    width: int


SD1_UNET = UNet((320, 640, 1280, 1280), (1, 1, 1, 0), 768, linear_projection=False)
SD2_UNET = UNet((320, 640, 1280, 1280), (1, 1, 1, 0), 1024)
SDXL_UNET = UNet((320, 640, 1280), (0, 2, 10), 2048)
CLIP_L = TextEncoder("text_encoder", 12, 768)
CLIP_H = TextEncoder("text_encoder", 23, 1024)
CLIP_G = TextEncoder("text_encoder_2", 32, 1280)


def unet_modules(unet: UNet) -> Iterator[Module]:
    """All trainable modules of a U-Net, in the order of the forward pass."""
    yield from _down(unet)
    width = unet.channels[-1]
    yield from _resnet(unet, "mid_block.resnets.0", width, width)
    depth = max(unet.depths[-1], 1)
    yield from _attention(unet, "mid_block.attentions.0", width, depth)
    yield from _resnet(unet, "mid_block.resnets.1", width, width)
    yield from _up(unet)


def text_modules(encoder: TextEncoder) -> Iterator[Module]:
    """The six linear layers of every layer of a CLIP text encoder."""
    width = encoder.width
    for i in range(encoder.layers):
        layer = f"{encoder.component}.text_model.encoder.layers.{i}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield Module(f"{layer}.self_attn.{part}", (width, width))
        yield Module(f"{layer}.mlp.fc1", (4 * width, width))
        yield Module(f"{layer}.mlp.fc2", (width, 4 * width))


def _down(unet: UNet) -> Iterator[Module]:
    in_ = unet.channels[0]
    for d, (width, depth) in enumerate(zip(unet.channels, unet.depths, strict=True)):
        block = f"down_blocks.{d}"
        for j in range(2):
            yield from _resnet(unet, f"{block}.resnets.{j}", width, in_)
            yield from _attention(unet, f"{block}.attentions.{j}", width, depth)
            in_ = width
        if d + 1 < unet.levels:
            name = f"unet.{block}.downsamplers.0.conv"
            yield Module(name, (width, width, 3, 3))


def _up(unet: UNet) -> Iterator[Module]:
    skips = _skip_widths(unet)
    in_ = unet.channels[-1]
    for u in range(unet.levels):
        level = unet.levels - 1 - u
        width, depth = unet.channels[level], unet.depths[level]
        block = f"up_blocks.{u}"
        for j in range(3):
            yield from _resnet(
                unet, f"{block}.resnets.{j}", width, in_ + skips.pop(), skip=True
            )
            yield from _attention(unet, f"{block}.attentions.{j}", width, depth)
            in_ = width
        if level:
            yield Module(f"unet.{block}.upsamplers.0.conv", (width, width, 3, 3))


def _skip_widths(unet: UNet) -> list[int]:
    """Widths of the features that the down path keeps for the up path, a stack."""
    skips = [unet.channels[0]]
    for d, width in enumerate(unet.channels):
        skips += [width, width]
        if d + 1 < unet.levels:
            skips.append(width)
    return skips


def _resnet(
    unet: UNet, name: str, out: int, in_: int, skip: bool = False
) -> Iterator[Module]:
    name = f"unet.{name}"
    yield Module(f"{name}.conv1", (out, in_, 3, 3))
    yield Module(f"{name}.time_emb_proj", (out, unet.time))
    yield Module(f"{name}.conv2", (out, out, 3, 3))
    if skip or in_ != out:
        yield Module(f"{name}.conv_shortcut", (out, in_, 1, 1))


def _attention(unet: UNet, name: str, width: int, depth: int) -> Iterator[Module]:
    if not depth:
        return
    projection = (width, width) if unet.linear_projection else (width, width, 1, 1)
    yield Module(f"unet.{name}.proj_in", projection)
    for k in range(depth):
        yield from _transformer(f"unet.{name}.transformer_blocks.{k}", width, unet)
    yield Module(f"unet.{name}.proj_out", projection)


def _transformer(name: str, width: int, unet: UNet) -> Iterator[Module]:
    for attention, context in (("attn1", width), ("attn2", unet.context)):
        yield Module(f"{name}.{attention}.to_q", (width, width))
        yield Module(f"{name}.{attention}.to_k", (width, context))
        yield Module(f"{name}.{attention}.to_v", (width, context))
        yield Module(f"{name}.{attention}.to_out.0", (width, width))
    yield Module(f"{name}.ff.net.0.proj", (8 * width, width))
    yield Module(f"{name}.ff.net.2", (width, 4 * width))


SD1 = ModuleTable("sd1", (*unet_modules(SD1_UNET), *text_modules(CLIP_L)))
SD2 = ModuleTable("sd2", (*unet_modules(SD2_UNET), *text_modules(CLIP_H)))
SDXL = ModuleTable(
    "sdxl",
    (*unet_modules(SDXL_UNET), *text_modules(CLIP_L), *text_modules(CLIP_G)),
)
UNETS = {"sd1": SD1_UNET, "sd2": SD2_UNET, "sdxl": SDXL_UNET}
