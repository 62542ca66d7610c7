"""Stable Diffusion 3 and 3.5: two streams in every block, joined in attention.

Canonical are diffusers' split layers; Stability's own code, which kohya's trainer
follows, fuses queries, keys and values. The last block has no way out for the text.

References:
  Stability-AI/sd3.5 `mmditx.py`; huggingface/diffusers
  `scripts/convert_sd3_to_diffusers.py`.
"""

from collections.abc import Iterator

from lorajax.naming.layers import (
    PREFIXES,
    Base,
    Component,
    Layer,
    fused,
    plain,
    swapped,
)
from lorajax.naming.text_encoders import CLIP_G, CLIP_L, T5_THIRD


def sd3(name: str, blocks: int, width: int, twice: int = 0, variants: str = "") -> Base:
    """A Stable Diffusion 3 model with its three text encoders.

    Args:
      twice: how many of the first blocks have a second attention, of the picture alone.
    """
    layers = (*_blocks(blocks, width, twice), *_ends(width))
    transformer = Component("transformer", layers, PREFIXES)
    return Base(name, (transformer, CLIP_L, CLIP_G, T5_THIRD), variants)


def _blocks(blocks: int, width: int, twice: int) -> Iterator[Layer]:
    for i in range(blocks):
        yield from _picture(i, width, i < twice)
        yield from _text(i, width, i == blocks - 1)


def _picture(i: int, width: int, twice: bool) -> Iterator[Layer]:
    native, block = f"joint_blocks.{i}.x_block", f"transformer_blocks.{i}"
    rows = (9 if twice else 6) * width
    yield plain(f"{block}.norm1.linear", (rows, width), f"{native}.adaLN_modulation.1")
    for attention in ("attn", "attn2") if twice else ("attn",):
        parts = {f"{block}.{attention}.to_{part}": width for part in "qkv"}
        yield from fused(f"{native}.{attention}.qkv", parts, width)
        out = f"{block}.{attention}.to_out.0"
        yield plain(out, (width, width), f"{native}.{attention}.proj")
    yield from _feed_forward(f"{block}.ff", f"{native}.mlp", width)


def _text(i: int, width: int, last: bool) -> Iterator[Layer]:
    native, block = f"joint_blocks.{i}.context_block", f"transformer_blocks.{i}"
    modulation, norm = f"{native}.adaLN_modulation.1", f"{block}.norm1_context.linear"
    if last:
        yield from swapped(modulation, norm, (2 * width, width))
    else:
        yield plain(norm, (6 * width, width), modulation)
    parts = {f"{block}.attn.add_{part}_proj": width for part in "qkv"}
    yield from fused(f"{native}.attn.qkv", parts, width)
    if not last:
        out = f"{block}.attn.to_add_out"
        yield plain(out, (width, width), f"{native}.attn.proj")
        yield from _feed_forward(f"{block}.ff_context", f"{native}.mlp", width)


def _feed_forward(name: str, native: str, width: int) -> Iterator[Layer]:
    yield plain(f"{name}.net.0.proj", (4 * width, width), f"{native}.fc1")
    yield plain(f"{name}.net.2", (width, 4 * width), f"{native}.fc2")


def _ends(width: int) -> Iterator[Layer]:
    yield plain("pos_embed.proj", (width, 16, 2, 2), "x_embedder.proj")
    yield plain("context_embedder", (width, 4096))
    for native, name, in_ in (("t", "timestep", 256), ("y", "text", 2048)):
        name = f"time_text_embed.{name}_embedder"
        yield plain(f"{name}.linear_1", (width, in_), f"{native}_embedder.mlp.0")
        yield plain(f"{name}.linear_2", (width, width), f"{native}_embedder.mlp.2")
    modulation = "final_layer.adaLN_modulation.1"
    yield from swapped(modulation, "norm_out.linear", (2 * width, width))
    yield plain("proj_out", (64, width), "final_layer.linear")
