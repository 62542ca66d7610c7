"""Groups of modules that people think in: `unet up blocks, attn2 value`.

A group is a part of the base model and a kind of layer in it. Stacks of many alike
blocks, as transformers have, are cut in thirds of their depth; the stages of a U-Net
are parts by themselves.
"""

import re
from collections.abc import Iterable

from lorajax.reporting.blocks import Place, place_of

# Stacks of fewer blocks are not cut.
_CUT_FROM = 6
_THIRDS = ("early", "middle", "late")
_ATTENTION = re.compile(r"\w*(?:attn|attention)\d*", re.IGNORECASE)
_FEED_FORWARD = re.compile(
    r"(?:\w+_)?(?:ffn?|mlp|feed_?forward|densereludense)(?:_\w+)?", re.IGNORECASE
)
_PROJECTIONS = {
    "query": ("to_q", "q_proj", "q", "query", "add_q_proj", "q_lin"),
    "key": ("to_k", "k_proj", "k", "key", "add_k_proj", "k_lin"),
    "value": ("to_v", "v_proj", "v", "value", "add_v_proj", "v_lin"),
    "output": ("to_out", "out_proj", "o_proj", "o", "to_add_out", "out_lin"),
}
_ROLES = {word: role for role, words in _PROJECTIONS.items() for word in words}


def group_modules(modules: Iterable[str]) -> dict[str, str]:
    """Every canonical module with its group."""
    places = {module: place_of(module) for module in modules}
    depths: dict[str, int] = {}
    for place in places.values():
        stack = f"{place.panel} {place.block}"
        depths[stack] = max(depths.get(stack, 0), *place.numbers[:1], 0)
    return {
        module: f"{_part(place, depths)}, {_kind(place.part)}"
        for module, place in places.items()
    }


def _part(place: Place, depths: dict[str, int]) -> str:
    """Where it is: component, depth, stack.

    >>> _part(place_of("unet.mid_block.resnets.0.conv1"), {"unet mid_block": 0})
    'unet mid block'
    """
    depth = 1 + depths[f"{place.panel} {place.block}"]
    third = _THIRDS[3 * place.numbers[0] // depth] if depth >= _CUT_FROM else ""
    words = (place.panel.split(" ")[0], third, place.block)
    return " ".join(filter(None, words)).replace("_", " ")


def _kind(part: str) -> str:
    """What the layer does.

    >>> _kind("attn2.to_v"), _kind("ff.net.0.proj"), _kind("conv1")
    ('attn2 value', 'feed-forward', 'convolutions')
    """
    words = [word for word in part.split(".") if not word.isdigit()]
    if words[-1].startswith("conv"):
        return "convolutions"
    if any(_FEED_FORWARD.fullmatch(word) for word in words):
        return "feed-forward"
    attention = [word for word in words[:-1] if _ATTENTION.fullmatch(word)]
    role = _ROLES.get(words[-1], words[-1])
    return " ".join((*attention[-1:], role)).replace("_", " ")
