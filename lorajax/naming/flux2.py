"""FLUX.2: blocks like FLUX.1's, with gated feed-forward layers and one modulation.

References:
  black-forest-labs/flux2 `src/flux2/model.py`; huggingface/diffusers
  `models/transformers/transformer_flux2.py`.
"""

from collections.abc import Iterator

from lorajax.naming.flux import STREAMS, Stream
from lorajax.naming.layers import (
    PREFIXES,
    Base,
    Component,
    Layer,
    fused,
    plain,
    swapped,
)

_LATENT = 128


def flux2(name: str, doubles: int, singles: int, width: int, context: int) -> Base:
    """A FLUX.2 model.

    Args:
      context: width of the text features that it reads.
    """
    layers = (*_blocks(doubles, singles, width), *_ends(width, context))
    return Base(name, (Component("transformer", layers, PREFIXES),))


def _blocks(doubles: int, singles: int, width: int) -> Iterator[Layer]:
    for i in range(doubles):
        for stream in STREAMS:
            yield from _double(i, stream, width)
    for i in range(singles):
        native, block = f"single_blocks.{i}", f"single_transformer_blocks.{i}.attn"
        # Queries, keys and values, then both halves of the gated way in.
        shape = (9 * width, width)
        yield plain(f"{block}.to_qkv_mlp_proj", shape, f"{native}.linear1")
        yield plain(f"{block}.to_out", (width, 4 * width), f"{native}.linear2")


def _double(i: int, stream: Stream, width: int) -> Iterator[Layer]:
    native, block = f"double_blocks.{i}.{stream.native}", f"transformer_blocks.{i}"
    parts = {f"{block}.attn.{part}": width for part in stream.query}
    yield from fused(f"{native}_attn.qkv", parts, width)
    yield plain(f"{block}.attn.{stream.out}", (width, width), f"{native}_attn.proj")
    feed_forward = f"{block}.{stream.feed_forward}"
    yield plain(f"{feed_forward}.linear_in", (6 * width, width), f"{native}_mlp.0")
    yield plain(f"{feed_forward}.linear_out", (width, 3 * width), f"{native}_mlp.2")


def _ends(width: int, context: int) -> Iterator[Layer]:
    """The layers outside the blocks; the modulations serve all blocks."""
    for which, parts in (("double", ("_img", "_txt")), ("single", ("",))):
        for part in parts:
            name = f"{which}_stream_modulation{part}"
            rows = 6 if which == "double" else 3
            yield plain(f"{name}.linear", (rows * width, width), f"{name}.lin")
    yield plain("x_embedder", (width, _LATENT), "img_in")
    yield plain("context_embedder", (width, context), "txt_in")
    for native, name in (("time_in", "timestep"), ("guidance_in", "guidance")):
        name = f"time_guidance_embed.{name}_embedder"
        yield plain(f"{name}.linear_1", (width, 256), f"{native}.in_layer")
        yield plain(f"{name}.linear_2", (width, width), f"{native}.out_layer")
    modulation = "final_layer.adaLN_modulation.1"
    yield from swapped(modulation, "norm_out.linear", (2 * width, width))
    yield plain("proj_out", (_LATENT, width), "final_layer.linear")
