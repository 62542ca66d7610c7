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

from lorajax.naming.families import QUANTISED_NAMES, REFUSED
from lorajax.naming.shapes import OFT_PART, Shape


class Key(NamedTuple):
    """What one tensor name says.

    Attributes:
      kind: `factor` (or its alpha), `joint` (a factor of all modules together, as
        SuperLoRA has them), `family` (one that cannot be read) or `side`.
      label: the dialect, or the family's name.
      module: the trainer's own name of the module.
      role: `up`, `down`, `mid`, `diagonal`, `alpha`, or the family's own name
        (`hada_w1_a`, `lokr_w2`, `oft_blocks`, …).
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
    "lora_mid": "mid",
    "lora_E": "diagonal",
    "lora_magnitude_vector": "magnitude",
}
_KOHYA = r"(?P<module>(?:lora|lycoris)_[^.]+)"
_PEFT = r"(?:(?:unet|text_encoder)\.)?base_model\.model\.(?P<module>.+)"
_DOTTED = (
    r"(?!(?:lora|lycoris|oft)_[^.]+\.[^.]+(?:\.weight)?$)"
    r"(?!(?:(?:unet|text_encoder)\.)?base_model\.)(?P<module>.+)"
)
_NAMED = r"(?:(?:\.[^.]+)?\.weight|\.default)?"
_PAIR = r"\.lora_(?P<role>A|B)" + _NAMED
_TUNER = r"\.(?P<role>lora_(?:E|magnitude_vector)|b?oft_R|boft_s|ia3_l)" + _NAMED
_LYCORIS = (
    r"\.(?P<role>hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2)"
    r"|dora_scale|magnitude|diff|oft_blocks|rescale|on_input)"
)
_UP_DOWN = r"\.(?P<role>(?:up|down)(?=\.weight$)|alpha$)(?:\.weight)?"


def _row(dialect: str, pattern: str, module: str = r"\g<module>") -> Row:
    return Row(dialect, re.compile(pattern), module)


ROWS = (
    _row("kohya", _KOHYA + r"\.(?P<role>lora_up|lora_down|lora_mid)\.weight"),
    _row("kohya", _KOHYA + r"\.lora_(?P<role>A|B)(?:\.weight)?"),
    _row("kohya", _KOHYA + r"\.(?P<role>alpha)"),
    _row("kohya", _KOHYA + _LYCORIS),
    _row(
        "kohya",
        r"oft_(?P<module>unet_[^.]+)\.(?P<role>oft_blocks(?:\.[0-9])?|rescale|alpha)",
        r"lora_\g<module>",
    ),
    _row("peft", _PEFT + _PAIR),
    _row("peft", _PEFT + _TUNER),
    _row("peft", _PEFT + _LYCORIS + r"(?:\.default)?"),
    _row("peft", _PEFT + r"\.(?P<role>alpha)"),
    _row("diffusers", _DOTTED + _PAIR),
    _row("diffusers", _DOTTED + _TUNER),
    _row("kohya dotted", _DOTTED + r"\.(?P<role>lora_up|lora_down|lora_mid)\.weight"),
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
    r"|.+\.(?:diff_[bm]|[wb]_norm|ranknum(?:\.[^.]+)?)"  # of norms and biases
    r"|bundle_emb\..+|<[^<>]+>"
)
# Plain weights of the model itself; asked last, because LoRA names end so as well.
_FULL = re.compile(rf"(?:.+\.)?(?:weight|bias|scale|gamma|beta|{QUANTISED_NAMES})")


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


def sort_keys(tensors: Mapping[str, Shape], metadata: Mapping[str, str]) -> SortedKeys:
    """Sort a file's tensor names; `metadata` tells cloneofsimo's tokens."""
    keys = SortedKeys()
    for name in tensors:
        if metadata.get(name) == EMBEDDING:
            keys.side.append(name)
            continue
        readings = parse_key(name)
        if len(readings) != 1:
            (keys.ambiguous if readings else keys.unknown).append(name)
            continue
        _file(keys, name, readings[0])
    _settle(keys, tensors)
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


def _settle(keys: SortedKeys, tensors: Mapping[str, Shape]) -> None:
    """What a name alone does not say: its neighbours and its axes do.

    LyCORIS calls the vector of (IA)³ `weight`, as full weights are called, gives
    BOFT's stages the name of OFT's blocks, and writes the differences of norms, which
    are no matrices, under the name of other layers'. kohya's OFT for FLUX.1 counts the
    parts of a module also where it is one.
    """
    full = set(keys.side)
    for module, roles in keys.modules.items():
        if "on_input" in roles and (weight := f"{module}.weight") in full:
            roles["ia3_weight"] = weight
            full.remove(weight)
        if {role for role in roles if role.startswith(OFT_PART)} == {f"{OFT_PART}0"}:
            roles["oft_blocks"] = roles.pop(f"{OFT_PART}0")
        if "oft_blocks" in roles and len(tensors[roles["oft_blocks"]]) == 4:
            roles["boft_blocks"] = roles.pop("oft_blocks")
        if "diff" in roles and len(tensors[roles["diff"]]) < 2:
            full.add(roles.pop("diff"))
    keys.side = [name for name in tensors if name in full]
    keys.modules = {module: roles for module, roles in keys.modules.items() if roles}


@lru_cache(maxsize=16_384)
def parse_key(name: str) -> tuple[Key, ...]:
    """All readings of a tensor name; exactly one for every name that we know.

    Cached, because all files of one trainer share their names.
    """
    if not name.isprintable() and not _SIDE.fullmatch(name):
        # Without a table modules keep their names, which are shown from there on.
        return ()
    readings = [
        Key("factor", row.dialect, match.expand(row.module), _role(match["role"]))
        for row in ROWS
        if (match := row.pattern.fullmatch(name))
    ]
    readings += [
        Key("family", family)
        for family, refused in REFUSED.items()
        if refused.pattern.fullmatch(name)
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
