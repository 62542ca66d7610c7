"""The U-Nets of Stable Diffusion 1.x, 2.x and XL, made by walking the architecture.

They hold what trainers update: the attention blocks' linear layers and 1x1
convolutions (LoRA) and the residual blocks' and samplers' convolutions (LoCon).
Blocks come in the order in which a picture passes them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lorajax.naming.table import Module


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


SD1_UNET = UNet((320, 640, 1280, 1280), (1, 1, 1, 0), 768, linear_projection=False)
SD2_UNET = UNet((320, 640, 1280, 1280), (1, 1, 1, 0), 1024)
SDXL_UNET = UNet((320, 640, 1280), (0, 2, 10), 2048)


def unet_modules(unet: UNet) -> Iterator[Module]:
    """All trainable modules of a U-Net, in the order of the forward pass."""
    yield from _down(unet)
    width = unet.channels[-1]
    yield from _resnet(unet, "mid_block.resnets.0", width, width)
    depth = max(unet.depths[-1], 1)
    yield from _attention(unet, "mid_block.attentions.0", width, depth)
    yield from _resnet(unet, "mid_block.resnets.1", width, width)
    yield from _up(unet)


def _down(unet: UNet) -> Iterator[Module]:
    in_ = unet.channels[0]
    for d, (width, depth) in enumerate(zip(unet.channels, unet.depths, strict=True)):
        block = f"down_blocks.{d}"
        for j in range(2):
            yield from _resnet(unet, f"{block}.resnets.{j}", width, in_)
            yield from _attention(unet, f"{block}.attentions.{j}", width, depth)
            in_ = width
        if d + 1 < unet.levels:
            name = f"{block}.downsamplers.0.conv"
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
            yield Module(f"{block}.upsamplers.0.conv", (width, width, 3, 3))


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
    yield Module(f"{name}.conv1", (out, in_, 3, 3))
    yield Module(f"{name}.time_emb_proj", (out, unet.time))
    yield Module(f"{name}.conv2", (out, out, 3, 3))
    if skip or in_ != out:
        yield Module(f"{name}.conv_shortcut", (out, in_, 1, 1))


def _attention(unet: UNet, name: str, width: int, depth: int) -> Iterator[Module]:
    if not depth:
        return
    projection = (width, width) if unet.linear_projection else (width, width, 1, 1)
    yield Module(f"{name}.proj_in", projection)
    for k in range(depth):
        yield from _transformer(f"{name}.transformer_blocks.{k}", width, unet)
    yield Module(f"{name}.proj_out", projection)


def _transformer(name: str, width: int, unet: UNet) -> Iterator[Module]:
    for attention, context in (("attn1", width), ("attn2", unet.context)):
        yield Module(f"{name}.{attention}.to_q", (width, width))
        yield Module(f"{name}.{attention}.to_k", (width, context))
        yield Module(f"{name}.{attention}.to_v", (width, context))
        yield Module(f"{name}.{attention}.to_out.0", (width, width))
    yield Module(f"{name}.ff.net.0.proj", (8 * width, width))
    yield Module(f"{name}.ff.net.2", (width, 4 * width))
