"""The text encoders that picture models bring along, and what trainers call them."""

from collections.abc import Iterator

from lorajax.naming.layers import Component, Layer, plain


def clip(layers: int, width: int) -> Iterator[Layer]:
    """The six linear layers of every layer of a CLIP text encoder."""
    for i in range(layers):
        layer = f"text_model.encoder.layers.{i}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield plain(f"{layer}.self_attn.{part}", (width, width))
        yield plain(f"{layer}.mlp.fc1", (4 * width, width))
        yield plain(f"{layer}.mlp.fc2", (width, 4 * width))


def t5(layers: int, width: int, wide: int) -> Iterator[Layer]:
    """The linear layers of a T5 v1.1 encoder, whose feed-forward layer is gated."""
    for i in range(layers):
        block = f"encoder.block.{i}"
        for part in "qkvo":
            yield plain(f"{block}.layer.0.SelfAttention.{part}", (width, width))
        for part in ("wi_0", "wi_1"):
            yield plain(f"{block}.layer.1.DenseReluDense.{part}", (wide, width))
        yield plain(f"{block}.layer.1.DenseReluDense.wo", (width, wide))


_CLIP_L = tuple(clip(12, 768))
_CLIP_H = tuple(clip(23, 1024))
_CLIP_G = tuple(clip(32, 1280))
_T5_XXL = tuple(t5(24, 4096, 10240))
_LONE = ("text_encoder_", "lora_te_", "")

# The only text encoder: the oldest diffusers leaves the component out.
CLIP_L_ALONE = Component("text_encoder", _CLIP_L, _LONE)
CLIP_H_ALONE = Component("text_encoder", _CLIP_H, _LONE)
# The first of several.
CLIP_L = Component(
    "text_encoder",
    _CLIP_L,
    ("text_encoder_", "lora_te1_", "text_encoders_clip_l_transformer_", ""),
)
CLIP_G = Component(
    "text_encoder_2",
    _CLIP_G,
    ("text_encoder_2_", "lora_te2_", "text_encoders_clip_g_transformer_"),
)
_T5_NAMES = ("lora_te3_", "text_encoders_t5xxl_transformer_")
# Behind CLIP-L alone (FLUX), where kohya's trainer numbers it 3 and OneTrainer 2.
T5_SECOND = Component(
    "text_encoder_2", _T5_XXL, ("text_encoder_2_", "lora_te2_", *_T5_NAMES)
)
T5_THIRD = Component("text_encoder_3", _T5_XXL, ("text_encoder_3_", *_T5_NAMES))
T5_ALONE = Component("text_encoder", _T5_XXL, ("text_encoder_", "lora_te_", *_T5_NAMES))
