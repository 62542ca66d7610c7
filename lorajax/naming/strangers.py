"""Files that are no LoRA, and base models that have no table: refused by name."""

import re
from collections.abc import Mapping

from lorajax.errors import NamingError

Shape = tuple[int, ...]

_CHECKPOINTS = (
    (r"(?:model\.)?diffusion_model\.|first_stage_model\.|cond_stage_model\.|"
     r"conditioner\.embedders\.", "a Stable Diffusion checkpoint"),
    (r"control_model\.|controlnet|input_hint_block", "a ControlNet"),
    (r"ip_adapter\.|image_proj\.", "an IP-Adapter"),
    (r"(?:down_blocks|up_blocks|mid_block|conv_in)\.|time_embed", "a U-Net"),
    (r"(?:encoder|decoder)\.(?:down|up|mid|conv_in)|quant_conv", "a VAE"),
    (r"(?:text_model|text_encoders?)\.", "a text encoder"),
    (r"(?:double_blocks|single_blocks|transformer_blocks|joint_blocks)\.",
     "a diffusion transformer"),
    (r"model\.layers\.|lm_head|transformer\.h\.|embeddings\.", "a language model"),
    (r"linear1_.*|.*\.linear\.\d+\.weight", "a hypernetwork"),
)  # fmt: skip
_EMBEDDINGS = {"emb_params", "clip_l", "clip_g", "t5", "t5xxl", "string_to_param", "*"}
_EMBEDDING_WIDTHS = {768, 1024, 1280, 2048, 4096}

# On names whose dots are underscores; the first that fits names the base.
_OTHER_BASES = (
    (r"double_blocks_\d+_.*mlp_fc\d", "HunyuanVideo"),
    (r"(?:double|single)_blocks_\d+_processor", "FLUX.1 (XLabs)"),
    (r"(?:double|single)_blocks_\d+_", "HunyuanVideo or another relative of FLUX.1"),
    (r"single_transformer_blocks_\d+_", "FLUX in diffusers' split layers"),
    (r"joint_blocks_\d+_", "Stable Diffusion 3"),
    (r"transformer_blocks_\d+_(?:img|txt)_m(?:lp|od)", "Qwen-Image"),
    (r"transformer_blocks_\d+_attn_(?:add|to)_",
     "FLUX in diffusers' split layers, Stable Diffusion 3 or Qwen-Image"),
    (r"blocks_\d+_(?:self|cross)_attn_[qkvo]_proj", "Cosmos"),
    (r"blocks_\d+_(?:self_attn_[qkvo]$|cross_attn_[qkvo]|ffn_)", "Wan"),
    (r"lora_prior_(?:unet|te)_", "Stable Cascade"),
    (r"(?:layers|refiner)_\d+_(?:attention|feed_forward)_", "Z-Image or Lumina"),
    (r"model_layers_\d+_(?:self_attn|mlp)_", "a Llama-style language model"),
    (r"model_decoder_layers_\d+_", "an OPT-style language model"),
    (r"encoder_block_\d+_layer_\d+_", "T5"),
    (r"bert_encoder_layer_\d+_", "BERT"),
    (r"(?:down|up|mid)_blocks?_|(?:input|output|middle)_blocks?_",
     "a U-Net of unknown layout"),
)  # fmt: skip

# Blocks of diffusion transformers; those of a U-Net are numbered by their level first.
_TRANSFORMER_BLOCK = re.compile(
    r"(?:double|single|joint)_blocks_\d+_|(?<!\d_)transformer_blocks_\d+_"
)


def not_a_lora(tensors: Mapping[str, Shape]) -> NamingError:
    """The refusal of a file without any LoRA tensor, saying what it seems to be."""
    if _is_textual_inversion(tensors):
        return NamingError(
            "expected a LoRA, found a textual inversion (the embedding of a word)",
            "it belongs into the embeddings folder of your picture program",
        )
    for pattern, what in _CHECKPOINTS:
        if any(re.match(pattern, name) for name in tensors):
            return NamingError(
                f"expected a LoRA, found the full weights of {what}",
                "name the LoRA, not the model it belongs to",
            )
    return NamingError(
        "expected LoRA tensors (lora_up/lora_down, lora_A/lora_B, …), found "
        + _some(tensors),
        "only LoRA files in safetensors format can be read",
    )


def _is_textual_inversion(tensors: Mapping[str, Shape]) -> bool:
    """A few vectors as wide as a text encoder, under names without a path."""
    return all(
        name in _EMBEDDINGS or re.fullmatch(r"<[^<>]+>|bundle_emb\..+", name)
        for name in tensors
    ) or (
        len(tensors) <= 8
        and all(
            "." not in name and 1 <= len(shape) <= 2 and shape[-1] in _EMBEDDING_WIDTHS
            for name, shape in tensors.items()
        )
    )


def refuse_foreign_blocks(flat_modules: list[str], declared: str) -> None:
    """Raise for layers of a diffusion transformer that the detected base has not.

    All layers within blocks have their place in a table, and text encoders are shared:
    without this rule the larger part of a HunyuanVideo LoRA would pass for FLUX.1,
    and a LoRA for Stable Diffusion 3 with its text encoders for SDXL.

    Args:
      flat_modules: the modules outside the base's table, with dots as underscores.
      declared: what the file says about its base model, or nothing.
    """
    if foreign := [name for name in flat_modules if _TRANSFORMER_BLOCK.search(name)]:
        raise unknown_base(foreign, declared)


def unknown_base(flat_modules: list[str], declared: str) -> NamingError:
    """The refusal of a LoRA whose base model has no table.

    Args:
      flat_modules: module names with dots as underscores.
      declared: what the file says about its base model, or nothing.
    """
    for pattern, base in _OTHER_BASES:
        if any(re.search(pattern, name) for name in flat_modules):
            known = f"{base} ({declared})" if declared else base
            return NamingError(
                f"expected a known base model, found a LoRA for {known}, "
                "which is not supported yet"
            )
    if declared:
        return NamingError(
            f"expected a known base model, found a LoRA for {declared}, "
            "which is not supported yet"
        )
    return NamingError(
        f"expected modules of a known base model, found {_some(flat_modules)}"
    )


def _some(names: Mapping[str, object] | list[str]) -> str:
    """Three of the names, shortened: enough to recognise a format by."""
    shown = [repr(name[:60]) for name in list(names)[:3]]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(shown) + more
