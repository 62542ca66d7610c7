"""Files that are no LoRA, and base models that have no table: refused by name."""

import re
from collections.abc import Iterable, Mapping

from lorajax.errors import NamingError
from lorajax.naming.families import QUANTISED_NAMES
from lorajax.naming.layers import flat
from lorajax.naming.shapes import Shape

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
    (rf"(?:.+\.)?(?:{QUANTISED_NAMES})$", "a quantised model"),
)  # fmt: skip
_EMBEDDINGS = {"emb_params", "clip_l", "clip_g", "t5", "t5xxl", "string_to_param", "*"}
_EMBEDDING_WIDTHS = {768, 1024, 1280, 2048, 4096}

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


def foreign_blocks(raw_modules: Iterable[str]) -> bool:
    """Whether any lies within the blocks of a diffusion transformer.

    All layers within blocks have their place in a table, and text encoders are shared:
    without this rule most of another model's LoRA would pass for a relative's, and a
    LoRA for an unknown one with its text encoders for SDXL.

    Args:
      raw_modules: those outside a base model's table.
    """
    return any(_TRANSFORMER_BLOCK.search(flat(name)) for name in raw_modules)


def unknown_base(raw_modules: Iterable[str], claimed: str) -> NamingError:
    """The refusal of a LoRA of no known base model, and without blocks.

    Args:
      claimed: what the file says about its base model, or nothing.
    """
    whose = f" of a LoRA for {claimed}" if claimed else ""
    return NamingError(
        f"expected modules of a known base model, or numbered blocks, found "
        f"{_some(list(raw_modules))}{whose}",
        "say which model it was trained on, so that its modules can be added",
    )


def _some(names: Mapping[str, object] | list[str]) -> str:
    """Three of the names, shortened: enough to recognise a format by."""
    shown = [repr(name[:60]) for name in list(names)[:3]]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(shown) + more
