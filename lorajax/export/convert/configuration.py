"""Ranks and alphas where PEFT and diffusers keep them: in a configuration.

PEFT has them in `adapter_config.json`. diffusers has the same fields, its component in
front, in the metadata entry `lora_adapter_metadata`, and refuses a file that has
`.alpha` tensors as well; so alpha stands there and nowhere else.

A pattern is a module's name and matches every name that ends so; the first that matches
counts. Hence longer names come first, and a module whose name ends in that of an
exception is listed too.

References:
  huggingface/peft `tuners/tuners_utils.py` `get_pattern_key`; huggingface/diffusers
  `loaders/peft.py`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from lorajax.export.convert.tensors import OutLayer

Number = int | float
_TYPES = {"lora": "LORA", "loha": "LOHA", "lokr": "LOKR"}


def peft_config(
    layers: Sequence[OutLayer],
    base_name: str | None,
    more: Mapping[str, object],
) -> dict[str, object]:
    """`adapter_config.json` of one component.

    Args:
      base_name: what the base model is called, if the file says so.
      more: what else it has to say, by family.
    """
    family = layers[0].family
    common = {
        "peft_type": _TYPES[family],
        "base_model_name_or_path": base_name,
        "inference_mode": True,
        "target_modules": [layer.spelled.local for layer in layers],
    }
    if family == "lora":
        own: dict[str, object] = {
            "bias": "none",
            "fan_in_fan_out": False,
            "init_lora_weights": True,
            "lora_dropout": 0.0,
            "use_rslora": False,
        }
        return common | own | _lora_fields(layers)
    own = {"use_effective_conv2d": any(layer.tucker for layer in layers)}
    return common | own | _scaling(layers, "alpha") | dict(more)


def diffusers_config(layers: Sequence[OutLayer]) -> dict[str, object]:
    """`lora_adapter_metadata` of all components."""
    parts: dict[str, list[OutLayer]] = {}
    for layer in layers:
        parts.setdefault(layer.spelled.component, []).append(layer)
    return {
        f"{component}.{field}": value
        for component, own in parts.items()
        for field, value in {
            **_lora_fields(own),
            "target_modules": [layer.spelled.local for layer in own],
        }.items()
    }


def _lora_fields(layers: Sequence[OutLayer]) -> dict[str, object]:
    return {
        "use_dora": any(layer.magnitudes for layer in layers),
        "lora_bias": False,
        **_scaling(layers, "lora_alpha"),
    }


def _scaling(layers: Sequence[OutLayer], alpha: str) -> dict[str, object]:
    """The commonest rank and alpha, and a pattern for every other."""
    ranks = {layer.spelled.local: layer.rank for layer in layers}
    alphas = {
        layer.spelled.local: _number(layer.scale * layer.rank) for layer in layers
    }
    rank, rank_pattern = _patterns(ranks)
    value, alpha_pattern = _patterns(alphas)
    return {
        "r": rank,
        alpha: value,
        "rank_pattern": rank_pattern,
        "alpha_pattern": alpha_pattern,
    }


def _patterns(values: Mapping[str, Number]) -> tuple[Number, dict[str, Number]]:
    """The commonest value, and module → value where it is another.

    >>> _patterns({"a.out": 4, "b.out": 4, "out": 8})
    (4, {'a.out': 4, 'b.out': 4, 'out': 8})
    """
    usual = Counter(values.values()).most_common(1)[0][0]
    other = {name for name, value in values.items() if value != usual}
    other |= {name for name in values if any(end in other for end in _ends(name))}
    names = sorted(other, key=lambda name: (-name.count("."), name))
    return usual, {name: values[name] for name in names}


def _ends(name: str) -> list[str]:
    """The names that this one ends in.

    >>> _ends("a.to_out.0")
    ['to_out.0', '0']
    """
    words = name.split(".")
    return [".".join(words[i:]) for i in range(1, len(words))]


def _number(value: float) -> Number:
    return int(value) if value.is_integer() else value
