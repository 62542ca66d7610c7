"""Base models that have no table, told apart by the structure of their blocks.

Nothing but names and shapes is known of them. Canonical is the name without what
trainers write in front, its underscores kept and only its numbers between dots: that is
what a name with dots and one without have in common, so that two trainers' files of one
model meet.

A base is called by its longest list of blocks: its name, how many blocks it has, and
the width that its layers have most often on either side. That width is the hidden one
whether attention or all layers were trained, and no rank enters it. Not known is
whether two models of equal structure have equal weights, and how many blocks the model
has behind the last one trained: a file that stops earlier gets a name of its own,
because comparing too little does less harm than comparing what has nothing in common.
"""

import re
from collections import Counter
from collections.abc import Mapping
from hashlib import blake2s

from lorajax.naming.layers import flat
from lorajax.naming.shapes import Shape, sides

_MAIN = re.compile(
    r"(?:lora_unet|lora_prior_unet|lora_transformer|lycoris)_+"
    r"|(?:transformer|diffusion_model|model\.diffusion_model|unet|prior)\."
)
_TEXT = re.compile(
    r"lora_(?:prior_)?te(?P<kohya>\d?)_|text_encoder(?:_(?P<dotted>\d))?\."
)
_BLOCK = re.compile(r"(?P<blocks>[^.].*?)\.(?P<number>[0-9]{1,5})\..+")
_WHOLE = re.compile("[0-9]+")
_SPEAKABLE = re.compile(r"\w[\w.]{0,59}", re.ASCII)
_NAME = re.compile(r"generic-[\w.]{1,60}-\d{1,5}x\d{1,9}", re.ASCII)


def is_generic(base_model: str) -> bool:
    """Whether it is the name of a base model known by its structure alone."""
    return _NAME.fullmatch(base_model) is not None


def generic_name(raw: str) -> str:
    """The canonical name of a module of an unknown base model.

    >>> generic_name("lora_unet_blocks_0_self_attn_q")
    'blocks.0.self_attn_q'
    >>> generic_name("transformer.blocks.0.self_attn.q")
    'blocks.0.self_attn_q'
    """
    if text := _TEXT.match(raw):
        number = text["kohya"] or text["dotted"] or ""
        start = f"text_encoder_{number}." if number > "1" else "text_encoder."
        return start + _dotted(raw[text.end() :])
    main = _MAIN.match(raw)
    return _dotted(raw[main.end() :] if main else raw)


def structure(
    names: Mapping[str, str],
    modules: Mapping[str, Mapping[str, str]],
    tensors: Mapping[str, Shape],
) -> str | None:
    """What a base model of such blocks is called; None where there are no blocks.

    Args:
      names: raw → canonical module.
      modules: raw module → role → raw key.
      tensors: raw key → shape.
    """
    lists: dict[str, list[tuple[int, str]]] = {}
    for raw, name in names.items():
        if block := _BLOCK.fullmatch(name):
            lists.setdefault(block["blocks"], []).append((int(block["number"]), raw))
    main = {k: v for k, v in lists.items() if not k.startswith("text_encoder")}
    if not (lists := main or lists):
        return None
    counts = {blocks: max(found)[0] + 1 for blocks, found in lists.items()}
    longest = max(counts, key=lambda b: (counts[b], len(lists[b]), b))
    widths = Counter(
        side
        for _, raw in lists[longest]
        for side in sides(modules[raw], tensors)
        if side
    )
    if not widths:
        return None
    width = max(widths, key=lambda side: (widths[side], -side))
    speakable = _SPEAKABLE.fullmatch(longest) is not None
    word = longest if speakable else blake2s(longest.encode()).hexdigest()[:12]
    return f"generic-{word}-{counts[longest]}x{width}"


def _dotted(name: str) -> str:
    """Underscores for all dots, then dots around whole numbers."""
    words: list[str] = []
    after_number = False
    for word in flat(name).split("_"):
        number = _WHOLE.fullmatch(word) is not None
        if words:
            words.append("." if number or after_number else "_")
        words.append(word)
        after_number = number
    return "".join(words)
