"""cloneofsimo's numbered modules (`unet:17:up`) → module names.

Its trainer counted the layers below certain classes while walking the model, and
wrote down only the number and the classes. The walk is rebuilt by sorting the module
table as the model's own `modules()` comes: in diffusers of that time the middle block
last, attentions before residual blocks, and the feed-forward layer between the two
attentions (later versions: behind them). Every shape must agree with the walk.

References:
  cloneofsimo/lora, `lora_diffusion/lora.py`, `_find_modules_v2`, `save_safeloras`.
"""

import json
import re
from collections.abc import Iterable, Mapping

from lorajax.errors import NamingError
from lorajax.naming.bases import table_of
from lorajax.naming.shapes import Shape, agrees
from lorajax.naming.table import Module
from lorajax.naming.words import printable

_CLASSES = {
    "CrossAttention": r"unet\..*\.attn[12]\..*",
    "Attention": r"unet\..*\.attn[12]\..*",
    "GEGLU": r"unet\..*\.ff\.net\.0\.proj",
    "ResnetBlock2D": r"unet\..*\.resnets\..*",
    "CLIPAttention": r"text_encoder\..*\.self_attn\..*",
}
_DEFAULTS = {
    "unet": ("CrossAttention", "Attention", "GEGLU"),
    "text_encoder": ("CLIPAttention",),
}
COMPONENTS = tuple(_DEFAULTS)  # and the metadata entries that list their classes
# A leading zero would make two names of one number.
_NUMBERED = re.compile(r"(unet|text_encoder):(0|[1-9][0-9]{0,3})")
_LONGEST_LIST = 2**16
_BLOCKS = ("down_blocks", "up_blocks", "mid_block")
_TEXT_PARTS = ("k_proj", "v_proj", "q_proj", "out_proj")
_FEED_FORWARD_ORDERS = (("attn1", "ff", "attn2"), ("attn1", "attn2", "ff"))


def name_indexed(
    modules: Mapping[str, Mapping[str, str]],
    tensors: Mapping[str, Shape],
    metadata: Mapping[str, str],
) -> dict[str, dict[str, str]]:
    """Replace `unet:17` by the canonical name of the module that it counts.

    Args:
      modules: raw module → role → raw key; names without a number are kept.

    Raises:
      NamingError: if no known walk agrees with the shapes.
    """
    parts: dict[str, dict[int, dict[str, str]]] = {}
    rest: dict[str, dict[str, str]] = {}
    for name, roles in modules.items():
        if numbered := _NUMBERED.fullmatch(name):
            component, number = numbered.groups()
            parts.setdefault(component, {})[int(number)] = dict(roles)
        else:
            rest[name] = dict(roles)
    named: dict[str, dict[str, str]] = {}
    for component, part in parts.items():
        walk = _find_walk(component, part, tensors, metadata)
        named |= {walk[i].name: roles for i, roles in part.items()}
    if twice := sorted(named.keys() & rest.keys()):
        raise NamingError(f"expected one update for {twice[0]}, found two")
    return named | rest


def _find_walk(
    component: str,
    modules: Mapping[int, Mapping[str, str]],
    tensors: Mapping[str, Shape],
    metadata: Mapping[str, str],
) -> list[Module]:
    classes = _target_classes(component, metadata)
    for base in ("sd1", "sd2"):
        for parts in _FEED_FORWARD_ORDERS:
            walk = _walk(table_of(base).modules, classes, parts)
            if max(modules) < len(walk) and all(
                agrees(walk[i].shape, roles, tensors) for i, roles in modules.items()
            ):
                return walk
    raise NamingError(
        f"expected {component} layers in the order of Stable Diffusion 1 or 2 over "
        f"{', '.join(classes)}, found {len(modules)} layers of other shapes"
    )


def _target_classes(component: str, metadata: Mapping[str, str]) -> list[str]:
    try:
        found = json.loads(metadata[component][:_LONGEST_LIST])
        classes = sorted({printable(name) for name in found})
    except (KeyError, TypeError, ValueError, RecursionError):
        classes = list(_DEFAULTS[component])
    if unknown := [name for name in classes if name not in _CLASSES]:
        raise NamingError(
            f"expected layers below {', '.join(_CLASSES)}, "
            f"found {', '.join(unknown[:3])}"
        )
    return classes


def _walk(
    modules: Iterable[Module], classes: Iterable[str], parts: tuple[str, ...]
) -> list[Module]:
    """The targeted modules in the order in which the model lists its layers."""
    wanted = re.compile("|".join(_CLASSES[name] for name in classes))
    found = [module for module in modules if wanted.fullmatch(module.name)]
    return sorted(found, key=lambda module: _place(module.name, parts))


def _place(name: str, parts: tuple[str, ...]) -> tuple[int, ...]:
    """Sort key of a module; ties keep the table's order."""
    words = name.replace("mid_block.", "mid_block.0.").split(".")
    if words[0] == "text_encoder":
        return (int(words[4]), _TEXT_PARTS.index(words[-1]))
    _, block, level, kind, number, *inner = words
    place = (_BLOCKS.index(block), int(level), kind != "attentions", int(number))
    if kind != "attentions":
        return place
    return (*place, int(inner[1]), parts.index(inner[2]))
