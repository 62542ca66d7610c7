"""Wan 2.1 and 2.2: one stream, self-attention, then cross-attention to the text.

References:
  Wan-Video/Wan2.1 `wan/modules/model.py`; huggingface/diffusers
  `scripts/convert_wan_to_diffusers.py`.
"""

from collections.abc import Iterator

from lorajax.naming.layers import PREFIXES, Base, Component, Layer, plain

_PREFIXES = (*PREFIXES, "lora_unet__")
_NATIVE = {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "o"}
_PICTURE = 1280


def wan(
    name: str, blocks: int, width: int, wide: int, latent: int = 64, variants: str = ""
) -> Base:
    """A Wan model; of two for high and low noise, both are the same model here.

    Args:
      wide: width inside the feed-forward layers.
      latent: what the last layer writes.
    """
    layers = tuple(_layers(blocks, width, wide, latent))
    first = Component("transformer", layers, _PREFIXES)
    if not variants:
        return Base(name, (first,))
    # A pair of experts in one file, as diffusers writes it.
    second = Component("transformer_2", layers, ("transformer_2_",))
    return Base(name, (first, second), variants)


def _layers(blocks: int, width: int, wide: int, latent: int) -> Iterator[Layer]:
    for i in range(blocks):
        yield from _block(f"blocks.{i}", width, wide, with_picture=width == 5120)
    embedder, square = "condition_embedder", (width, width)
    for native, name, in_ in (("text", "text", 4096), ("time", "time", 256)):
        name = f"{embedder}.{name}_embedder"
        yield plain(f"{name}.linear_1", (width, in_), f"{native}_embedding.0")
        yield plain(f"{name}.linear_2", square, f"{native}_embedding.2")
    yield plain(f"{embedder}.time_proj", (6 * width, width), "time_projection.1")
    if width == 5120:
        name, picture = f"{embedder}.image_embedder.ff.net", (_PICTURE, _PICTURE)
        yield plain(f"{name}.0.proj", picture, "img_emb.proj.1")
        yield plain(f"{name}.2", (width, _PICTURE), "img_emb.proj.3")
    yield plain("proj_out", (latent, width), "head.head")


def _block(block: str, width: int, wide: int, with_picture: bool) -> Iterator[Layer]:
    """A block; cross-attention may read a picture beside the text (Wan 2.1 I2V)."""
    square = (width, width)
    for native, name in (("self_attn", "attn1"), ("cross_attn", "attn2")):
        for part, own in _NATIVE.items():
            yield plain(f"{block}.{name}.{part}", square, f"{block}.{native}.{own}")
    for part in "kv" if with_picture else "":
        own = f"{block}.cross_attn.{part}_img"
        yield plain(f"{block}.attn2.add_{part}_proj", square, own)
    yield plain(f"{block}.ffn.net.0.proj", (wide, width), f"{block}.ffn.0")
    yield plain(f"{block}.ffn.net.2", (width, wide), f"{block}.ffn.2")
