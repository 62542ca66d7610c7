"""Raw tensor name → what it is: an update's factor, another family's, or neither.

One table of patterns for every trainer's dialect. Exactly one row may match a name:
a test holds the rows apart over all real and made-up names, and a name that two rows
claim is reported rather than guessed.

References:
  kohya-ss/sd-scripts `networks/lora.py`; huggingface/peft `utils/save_and_load.py`;
  huggingface/diffusers `loaders/lora_conversion_utils.py`; cloneofsimo/lora
  `lora_diffusion/lora.py`; KohakuBlueleaf/LyCORIS `lycoris/modules`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from lorajax.naming.families import FAMILIES


class Key(NamedTuple):
    """What one tensor name says.

    Attributes:
      kind: `factor` (or its alpha), `joint` (a factor of all modules together, as
        SuperLoRA has them), `family` (one that cannot be read) or `side`.
      label: the dialect, or the family's name.
      module: the trainer's own name of the module.
      role: `up`, `down`, `alpha`, or LyCORIS' own name (`hada_w1_a`, `lokr_w2`, …).
    """

    kind: str
    label: str
    module: str = ""
    role: str = ""


class Row(NamedTuple):
    """A pattern with the groups `module` and `role`, and how the module is spelled."""

    dialect: str
    pattern: re.Pattern[str]
    module: str = r"\g<module>"


_ROLES = {
    "lora_up": "up",
    "lora_down": "down",
    "up": "up",
    "down": "down",
    "B": "up",
    "A": "down",
    "alpha": "alpha",
}
_KOHYA = r"(?P<module>(?:lora|lycoris)_[^.]+)"
_PEFT = r"(?:(?:unet|text_encoder)\.)?base_model\.model\.(?P<module>.+)"
_DOTTED = (
    r"(?!(?:lora|lycoris)_[^.]+\.[^.]+(?:\.weight)?$)"
    r"(?!(?:(?:unet|text_encoder)\.)?base_model\.)(?P<module>.+)"
)
_PAIR = r"\.lora_(?P<role>A|B)(?:(?:\.[^.]+)?\.weight|\.default)?"
_LYCORIS = r"\.(?P<role>hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2))"
_UP_DOWN = r"\.(?P<role>(?:up|down)(?=\.weight$)|alpha$)(?:\.weight)?"


def _row(dialect: str, pattern: str, module: str = r"\g<module>") -> Row:
    return Row(dialect, re.compile(pattern), module)


ROWS = (
    _row("kohya", _KOHYA + r"\.(?P<role>lora_up|lora_down)\.weight"),
    _row("kohya", _KOHYA + r"\.lora_(?P<role>A|B)(?:\.weight)?"),
    _row("kohya", _KOHYA + r"\.(?P<role>alpha)"),
    _row("kohya", _KOHYA + _LYCORIS),
    _row("peft", _PEFT + _PAIR),
    _row("peft", _PEFT + _LYCORIS + r"(?:\.default)?"),
    _row("peft", _PEFT + r"\.(?P<role>alpha)"),
    _row("diffusers", _DOTTED + _PAIR),
    _row("kohya dotted", _DOTTED + r"\.(?P<role>lora_up|lora_down)\.weight"),
    _row("kohya dotted", _DOTTED + _LYCORIS + r"(?:\.default)?"),
    _row("diffusers 0.22", _DOTTED + r"(?<!\.processor)\.lora" + _UP_DOWN),
    _row("diffusers 0.22", _DOTTED + r"\.lora_linear_layer" + _UP_DOWN),
    _row(
        "diffusers",
        _DOTTED + r"(?<!_lora)(?<!\.lora)(?<!_lora\d)(?<!_layer)\.(?P<role>alpha)",
    ),
    _row(
        "diffusers attn-procs",
        _DOTTED + r"\.processor\.(?P<leaf>to_[qkv]|add_[qkv]_proj)_lora" + _UP_DOWN,
        r"\g<module>.\g<leaf>",
    ),
    _row(
        "diffusers attn-procs",
        _DOTTED + r"\.processor\.to_out_lora" + _UP_DOWN,
        r"\g<module>.to_out.0",
    ),
    _row(
        "diffusers attn-procs",
        _DOTTED + r"\.self_attn\.to_(?P<leaf>q|k|v|out)_lora" + _UP_DOWN,
        r"\g<module>.self_attn.\g<leaf>_proj",
    ),
    _row(
        "xlabs",
        _DOTTED + r"\.processor\.(?P<leaf>(?:qkv|proj)_lora\d?)" + _UP_DOWN,
        r"\g<module>.processor.\g<leaf>",
    ),
    _row("cloneofsimo", r"(?P<module>(?:unet|text_encoder):\d+):(?P<role>up|down)"),
)

EMBEDDING = "<embed>"  # what cloneofsimo's metadata call a token's tensor
_NUMBER = "(?:0|[1-9][0-9]{0,4})"
_JOINT = re.compile(rf"superlora\.g{_NUMBER}\.k{_NUMBER}\.(?:core|a{_NUMBER})")
_SIDE = re.compile(
    r".+\.(?:modules_to_save|original_module|base_layer)\..+"
    r"|.+\.lora_embedding_[AB](?:\..+)?|.+\.lora_B(?:\.[^.]+)?\.bias"
    r"|bundle_emb\..+|<[^<>]+>"
)
# Plain weights of the model itself; asked last, because LoRA names end so as well.
_FULL = re.compile(r"(?:.+\.)?(?:weight|bias|scale|gamma|beta)")


@dataclass
class SortedKeys:
    """All names of a file by what they are.

    Attributes:
      modules: raw module → role → raw key.
      dialects: dialect → number of its factor tensors.
      joint: raw keys of SuperLoRA's factors.
      families: another family's name → its raw keys.
      side: full weights, biases and embeddings.
      unknown: names that no row matches.
      ambiguous: names that several rows match.
    """

    modules: dict[str, dict[str, str]] = field(default_factory=dict)
    dialects: dict[str, int] = field(default_factory=dict)
    joint: list[str] = field(default_factory=list)
    families: dict[str, list[str]] = field(default_factory=dict)
    side: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)


def sort_keys(names: Mapping[str, object], metadata: Mapping[str, str]) -> SortedKeys:
    """Sort a file's tensor names; `metadata` tells cloneofsimo's tokens."""
    keys = SortedKeys()
    for name in names:
        if metadata.get(name) == EMBEDDING:
            keys.side.append(name)
            continue
        readings = parse_key(name)
        if len(readings) != 1:
            (keys.ambiguous if readings else keys.unknown).append(name)
            continue
        _file(keys, name, readings[0])
    return keys


def _file(keys: SortedKeys, name: str, key: Key) -> None:
    """Put one understood name in its place."""
    if key.kind == "side":
        keys.side.append(name)
    elif key.kind == "joint":
        keys.joint.append(name)
    elif key.kind == "family":
        keys.families.setdefault(key.label, []).append(name)
    else:
        roles = keys.modules.setdefault(key.module, {})
        if key.role in roles:
            keys.ambiguous.append(name)
            return
        roles[key.role] = name
        if key.role != "alpha":
            keys.dialects[key.label] = keys.dialects.get(key.label, 0) + 1


@lru_cache(maxsize=16_384)
def parse_key(name: str) -> tuple[Key, ...]:
    """All readings of a tensor name; exactly one for every name that we know.

    Cached, because all files of one trainer share their names.
    """
    readings = [
        Key("factor", row.dialect, match.expand(row.module), _role(match["role"]))
        for row in ROWS
        if (match := row.pattern.fullmatch(name))
    ]
    readings += [
        Key("family", family) for family, rx in FAMILIES.items() if rx.fullmatch(name)
    ]
    if _JOINT.fullmatch(name):
        readings.append(Key("joint", "superlora"))
    if _SIDE.fullmatch(name):
        readings.append(Key("side", ""))
    if not readings and _FULL.fullmatch(name):
        readings.append(Key("side", ""))
    return tuple(readings)


def _role(word: str) -> str:
    return _ROLES.get(word, word)
