"""Every spelling of a module that trainers use → its canonical name.

Underscored names cannot be split back ("to_q", "proj_in", "transformer_blocks"), so
the way goes forward: each canonical name is spelled in every known way, once per base
model, and raw names are looked up. Dots count as underscores on both sides.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache

from lorajax.naming.bases import table_of
from lorajax.naming.stable_diffusion import UNETS, UNet

# Component → kohya's prefix; several text encoders are numbered.
_KOHYA = {"unet": "lora_unet", "text_encoder": "lora_te"}
_KOHYA_NUMBERED = {
    "sdxl": {
        "unet": "lora_unet",
        "text_encoder": "lora_te1",
        "text_encoder_2": "lora_te2",
    },
    "flux": {"transformer": "lora_unet", "text_encoder": "lora_te1"},
}
_RESNET = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}


def flat(name: str) -> str:
    """The form in which names are compared: dots as underscores."""
    return name.replace(".", "_")


@cache
def spellings(base_model: str) -> dict[str, str]:
    """Flat raw name → canonical name, for all modules of a base model."""
    return {
        flat(spelling): module.name
        for module in table_of(base_model).modules
        for spelling in _spell(module.name, base_model)
    }


def _spell(name: str, base_model: str) -> Iterator[str]:
    yield name
    component, rest = name.split(".", 1)
    if component in ("transformer", "distilbert"):
        yield rest  # an adapter of the bare model, without its head
    kohya = _KOHYA_NUMBERED.get(base_model, _KOHYA)
    if component in kohya:
        yield f"{kohya[component]}.{rest}"
    if component in ("unet", "text_encoder"):
        yield rest  # PEFT and the oldest diffusers leave the component out
    if base_model == "flux" and component == "transformer":
        yield f"diffusion_model.{rest}"
    if component == "unet":
        yield f"lycoris.{rest}"
    if component == "unet" and base_model in UNETS:
        sgm = sgm_name(rest, UNETS[base_model])
        yield from (f"{prefix}.{sgm}" for prefix in ("lora_unet", "diffusion_model"))


def sgm_name(name: str, unet: UNet) -> str:
    """The name that Stability's own code (and kohya for SDXL) has for a U-Net module.

    Args:
      name: the diffusers name without its component.

    >>> from lorajax.naming.stable_diffusion import SDXL_UNET
    >>> sgm_name("down_blocks.1.attentions.0.proj_in", SDXL_UNET)
    'input_blocks.4.1.proj_in'
    """
    for pattern, rewrite in _SGM_ROWS:
        if match := re.fullmatch(pattern, name):
            return rewrite(match, unet)
    raise ValueError(f"no sgm name for {name!r}")


def _inner(kind: str, rest: str) -> str:
    """`0.<renamed layer>` inside a residual block, `1.<same layer>` in attention."""
    return f"0.{_RESNET[rest]}" if kind == "resnets" else f"1.{rest}"


def _sgm_down(match: re.Match[str], _: UNet) -> str:
    d, kind, j, rest = match.groups()
    return f"input_blocks.{1 + 3 * int(d) + int(j)}.{_inner(kind, rest)}"


def _sgm_up(match: re.Match[str], _: UNet) -> str:
    u, kind, j, rest = match.groups()
    return f"output_blocks.{3 * int(u) + int(j)}.{_inner(kind, rest)}"


def _sgm_mid(match: re.Match[str], _: UNet) -> str:
    kind, j, rest = match.groups()
    if kind == "attentions":
        return f"middle_block.1.{rest}"
    return f"middle_block.{2 * int(j)}.{_RESNET[rest]}"


def _sgm_downsampler(match: re.Match[str], _: UNet) -> str:
    return f"input_blocks.{3 * int(match[1]) + 3}.0.op"


def _sgm_upsampler(match: re.Match[str], unet: UNet) -> str:
    u = int(match[1])
    # The sampler comes behind the attention, where the level has any.
    place = 2 if unet.depths[unet.levels - 1 - u] else 1
    return f"output_blocks.{3 * u + 2}.{place}.conv"


_KIND = r"(resnets|attentions)\.(\d+)\.(.+)"
_SGM_ROWS: tuple[tuple[str, Callable[[re.Match[str], UNet], str]], ...] = (
    (rf"down_blocks\.(\d+)\.{_KIND}", _sgm_down),
    (rf"up_blocks\.(\d+)\.{_KIND}", _sgm_up),
    (rf"mid_block\.{_KIND}", _sgm_mid),
    (r"down_blocks\.(\d+)\.downsamplers\.0\.conv", _sgm_downsampler),
    (r"up_blocks\.(\d+)\.upsamplers\.0\.conv", _sgm_upsampler),
)
