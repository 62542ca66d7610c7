"""Qwen-Image and Z-Image.

References:
  huggingface/diffusers `models/transformers/transformer_qwenimage.py` and
  `transformer_z_image.py`; Comfy-Org/ComfyUI `comfy/utils.py`.
"""

from collections.abc import Iterator

from lorajax.naming.layers import PREFIXES, Base, Component, Layer, fused, plain

_QWEN = 3072
_Z, _Z_WIDE, _Z_TIME = 3840, 10240, 256


def qwen_image() -> Base:
    """Qwen-Image, whose own code has diffusers' names."""
    transformer = Component("transformer", tuple(_qwen_image()), PREFIXES)
    return Base("qwen-image", (transformer,), "Qwen-Image or one of its Edit models")


def z_image() -> Base:
    """Z-Image; ComfyUI fuses queries, keys and values."""
    transformer = Component("transformer", tuple(_z_image()), PREFIXES)
    return Base("z-image", (transformer,), "Base, Turbo or Edit")


def _qwen_image() -> Iterator[Layer]:
    square, wide = (_QWEN, _QWEN), 4 * _QWEN
    for i in range(60):
        block = f"transformer_blocks.{i}"
        attention = [f"to_{part}" for part in "qkv"]
        attention += [f"add_{part}_proj" for part in "qkv"]
        for part in (*attention, "to_out.0", "to_add_out"):
            yield plain(f"{block}.attn.{part}", square)
        for stream in ("img", "txt"):
            yield plain(f"{block}.{stream}_mod.1", (6 * _QWEN, _QWEN))
            yield plain(f"{block}.{stream}_mlp.net.0.proj", (wide, _QWEN))
            yield plain(f"{block}.{stream}_mlp.net.2", (_QWEN, wide))
    yield plain("img_in", (_QWEN, 64))
    yield plain("txt_in", (_QWEN, 3584))
    yield plain("time_text_embed.timestep_embedder.linear_1", (_QWEN, 256))
    yield plain("time_text_embed.timestep_embedder.linear_2", square)
    yield plain("norm_out.linear", (2 * _QWEN, _QWEN))
    yield plain("proj_out", (64, _QWEN))


def _z_image() -> Iterator[Layer]:
    for blocks, count in (("noise_refiner", 2), ("context_refiner", 2), ("layers", 30)):
        for i in range(count):
            yield from _z_block(f"{blocks}.{i}", blocks != "context_refiner")


def _z_block(block: str, modulated: bool) -> Iterator[Layer]:
    attention, feed_forward = f"{block}.attention", f"{block}.feed_forward"
    if modulated:
        yield plain(f"{block}.adaLN_modulation.0", (4 * _Z, _Z_TIME))
    parts = {f"{attention}.to_{part}": _Z for part in "qkv"}
    yield from fused(f"{attention}.qkv", parts, _Z)
    yield plain(f"{attention}.to_out.0", (_Z, _Z), f"{attention}.out")
    for part, shape in (("w1", (_Z_WIDE, _Z)), ("w2", (_Z, _Z_WIDE))):
        yield plain(f"{feed_forward}.{part}", shape)
    yield plain(f"{feed_forward}.w3", (_Z_WIDE, _Z))
