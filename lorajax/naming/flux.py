"""FLUX.1 and its relatives of the same two kinds of blocks: Chroma, HunyuanVideo.

Canonical are diffusers' split layers. Black Forest Labs' own code, which kohya's
trainer follows, fuses queries, keys and values into `qkv`, and in the single blocks
these and the way into the feed-forward layer into `linear1`.

References:
  black-forest-labs/flux `src/flux/modules/layers.py`; huggingface/diffusers
  `loaders/lora_conversion_utils.py`; Tencent/HunyuanVideo `hyvideo/modules/models.py`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from lorajax.naming.layers import (
    PREFIXES,
    Base,
    Component,
    Layer,
    Piece,
    fused,
    plain,
    swapped,
)
from lorajax.naming.text_encoders import CLIP_L, T5_ALONE, T5_SECOND

WIDTH = 3072
WIDE = 4 * WIDTH


class Stream(NamedTuple):
    """One of the two streams of a double block, which has weights of its own."""

    native: str
    query: tuple[str, str, str]
    out: str
    feed_forward: str
    norm: str


STREAMS = (
    Stream("img", ("to_q", "to_k", "to_v"), "to_out.0", "ff", "norm1"),
    Stream(
        "txt",
        ("add_q_proj", "add_k_proj", "add_v_proj"),
        "to_add_out",
        "ff_context",
        "norm1_context",
    ),
)


def blocks(
    doubles: int, singles: int, modulated: bool = True, video: bool = False
) -> Iterator[Layer]:
    """The linear layers of all blocks.

    Args:
      modulated: whether blocks have modulations of their own.
      video: whether names of HunyuanVideo's code count, rather than those of XLabs.
    """
    for i in range(doubles):
        for stream in STREAMS:
            yield from _double(i, stream, modulated, video)
    for i in range(singles):
        yield from _single(i, modulated, video)


def _double(i: int, stream: Stream, modulated: bool, video: bool) -> Iterator[Layer]:
    native = f"double_blocks.{i}.{stream.native}"
    block = f"transformer_blocks.{i}"
    xlabs = f"double_blocks.{i}.processor.{{}}_lora{1 + STREAMS.index(stream)}".format
    mlp, mod = (f"{native}_mlp", f"{native}_mod")
    if modulated:
        names = (f"{mod}.lin", *([f"{mod}.linear"] if video else []))
        yield plain(f"{block}.{stream.norm}.linear", (6 * WIDTH, WIDTH), *names)
    parts = {f"{block}.attn.{part}": WIDTH for part in stream.query}
    yield from fused(f"{native}_attn.qkv", parts, WIDTH)
    out = [f"{native}_attn.proj"]
    if not video:
        yield next(fused(xlabs("qkv"), parts, WIDTH))
        out.append(xlabs("proj"))
    yield plain(f"{block}.attn.{stream.out}", (WIDTH, WIDTH), *out)
    ways = ((f"{mlp}.0", f"{mlp}.fc1"), (f"{mlp}.2", f"{mlp}.fc2"))
    way_in, way_out = (names if video else names[:1] for names in ways)
    feed_forward = f"{block}.{stream.feed_forward}.net"
    yield plain(f"{feed_forward}.0.proj", (WIDE, WIDTH), *way_in)
    yield plain(f"{feed_forward}.2", (WIDTH, WIDE), *way_out)


def _single(i: int, modulated: bool, video: bool) -> Iterator[Layer]:
    """A block of both streams joined, attention beside its feed-forward layer."""
    native, block = f"single_blocks.{i}", f"single_transformer_blocks.{i}"
    mod, out = f"{native}.modulation", [f"{native}.linear2"]
    if modulated:
        names = (f"{mod}.lin", *([f"{mod}.linear"] if video else []))
        yield plain(f"{block}.norm.linear", (3 * WIDTH, WIDTH), *names)
    parts = {f"{block}.attn.{part}": WIDTH for part in ("to_q", "to_k", "to_v")}
    if not video:
        yield next(fused(f"{native}.processor.qkv_lora", parts, WIDTH))
        out.append(f"{native}.processor.proj_lora")
    yield from fused(f"{native}.linear1", parts | {f"{block}.proj_mlp": WIDE}, WIDTH)
    yield plain(f"{block}.proj_out", (WIDTH, WIDTH + WIDE), *out)


def _ends() -> Iterator[Layer]:
    """The layers before and behind the blocks that all of them have."""
    yield plain("context_embedder", (WIDTH, 4096), "txt_in")
    yield plain("x_embedder", (WIDTH, 64), "img_in")
    yield plain("proj_out", (64, WIDTH), "final_layer.linear")


def _widened(in_: int) -> Layer:
    """FLUX.1's first layer where it reads more than the picture: another weight."""
    name, shape = f"x_embedder.{in_}", (WIDTH, in_)
    return Layer(("img_in", "x_embedder", name), shape, (Piece(name, shape),))


def _times(layers: tuple[str, str]) -> Iterator[Layer]:
    """The embeddings of time, guidance and the pooled text.

    Args:
      layers: what the model's own code calls the two layers of the first two.
    """
    for native, name, in_, own in (
        ("time_in", "timestep_embedder", 256, layers),
        ("guidance_in", "guidance_embedder", 256, layers),
        ("vector_in", "text_embedder", 768, ("in_layer", "out_layer")),
    ):
        name = f"time_text_embed.{name}"
        yield plain(f"{name}.linear_1", (WIDTH, in_), f"{native}.{own[0]}")
        yield plain(f"{name}.linear_2", (WIDTH, WIDTH), f"{native}.{own[1]}")
    modulation = "final_layer.adaLN_modulation.1"
    yield from swapped(modulation, "norm_out.linear", (2 * WIDTH, WIDTH))


def _flux() -> Iterator[Layer]:
    yield from blocks(19, 38)
    yield from _ends()
    yield from _times(("in_layer", "out_layer"))
    # Depth and Canny read a control picture as well, Fill a picture and a mask.
    yield from (_widened(128), _widened(384))


def _hunyuan_video() -> Iterator[Layer]:
    yield from blocks(20, 40, video=True)
    yield from _times(("mlp.0", "mlp.2"))
    yield plain("proj_out", (64, WIDTH), "final_layer.linear")
    refiner = "context_embedder.token_refiner.refiner_blocks"
    for i in range(2):
        native = f"txt_in.individual_token_refiner.blocks.{i}"
        block = f"{refiner}.{i}"
        parts = {f"{block}.attn.to_{part}": WIDTH for part in "qkv"}
        yield from fused(f"{native}.self_attn_qkv", parts, WIDTH)
        out = f"{native}.self_attn_proj"
        yield plain(f"{block}.attn.to_out.0", (WIDTH, WIDTH), out)
        yield plain(f"{block}.ff.net.0.proj", (WIDE, WIDTH), f"{native}.mlp.fc1")
        yield plain(f"{block}.ff.net.2", (WIDTH, WIDE), f"{native}.mlp.fc2")


def flux() -> Base:
    """FLUX.1 with its two text encoders."""
    transformer = Component("transformer", tuple(_flux()), PREFIXES)
    variants = "dev, schnell, Krea, Kontext, Fill, Depth or Canny, or Chroma"
    return Base("flux", (transformer, CLIP_L, T5_SECOND), variants)


def chroma() -> Base:
    """FLUX.1 schnell pruned: the same blocks without modulations, and T5 alone."""
    layers = (*blocks(19, 38, modulated=False), *_ends())
    transformer = Component("transformer", layers, PREFIXES)
    parts = (transformer, T5_ALONE)
    return Base("chroma", parts, "Base, HD, Flash or Radiance", declared_only=True)


def hunyuan_video() -> Base:
    """HunyuanVideo, whose text encoders are hardly ever trained."""
    prefixes = (*PREFIXES, "Hunyuan_video_I2V_lora_")
    transformer = Component("transformer", tuple(_hunyuan_video()), prefixes)
    variants = "text to video, image to video, FramePack or SkyReels"
    return Base("hunyuan-video", (transformer,), variants)
