"""The names that Stability's own code has for the modules of a U-Net.

kohya's trainer keeps them for SDXL; for SD 1 and 2 they are rare.

References:
  Stability-AI/generative-models `sgm/modules/diffusionmodules/openaimodel.py`.
"""

import re
from collections.abc import Callable

from lorajax.naming.stable_diffusion import UNet

BLOCKS = ("input_blocks", "output_blocks", "middle_block")
_RESNET = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}


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
