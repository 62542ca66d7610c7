"""Adapter files → what they add to the base model together, each at its strength."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from lorajax.adapters.adapter import Adapter, check_vector, read_adapter
from lorajax.errors import ZooError
from lorajax.formats.peft_config import CONFIG_NAME, WEIGHTS_NAME
from lorajax.formats.text import clean, shown
from lorajax.naming.zoo import BASE_MODEL

LARGEST_WEIGHT = 100.0
_WEIGHT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class Weighted:
    """A LoRA and how strongly it is applied."""

    adapter: Adapter
    weight: float


def split_weight(text: str) -> tuple[Path, float]:
    """`X:0.8` → X at 0.8; without a number after the last colon all of it is the path.

    >>> path, weight = split_weight("ink.safetensors:-0.5")
    >>> path.name, weight
    ('ink.safetensors', -0.5)

    Raises:
      ZooError: for a strength that no picture survives.
    """
    head, colon, tail = text.rpartition(":")
    if not (colon and head and _WEIGHT.fullmatch(tail)) or os.path.exists(text):
        return Path(text), 1.0
    weight = float(tail)
    if not abs(weight) <= LARGEST_WEIGHT:
        raise ZooError(
            f"{clean(text, 500)}: expected a strength from -{LARGEST_WEIGHT:g} to "
            f"{LARGEST_WEIGHT:g}, found {weight:g}",
            "1 is the strength that it was trained at",
        )
    return Path(head), weight


def read_weighted(texts: Sequence[str]) -> list[Weighted]:
    """The LoRAs of `X[:weight]` texts: files, or folders of PEFT.

    Raises:
      LorajaxError: for a file that cannot be read or belongs to another base model.
    """
    return [Weighted(_read(path), w) for path, w in map(split_weight, texts)]


def combine(
    loras: Sequence[Weighted], strength: float = 1.0
) -> dict[str, Float[np.ndarray, "out in_"]]:
    """The sum of the updates: changes[module] = Σ strength · weight · ΔW."""
    changes: dict[str, np.ndarray] = {}
    for lora in loras:
        for module, update in lora.adapter.updates.items():
            delta = (strength * lora.weight * update.dense()).astype(np.float32)
            changes[module] = changes[module] + delta if module in changes else delta
    return changes


def warnings_of(loras: Sequence[Weighted]) -> list[str]:
    """What a person should know of the files, a line each."""
    adapters: Mapping[str, Adapter] = {str(x.adapter.path): x.adapter for x in loras}
    return [f"{a.name}: {line}" for a in adapters.values() for line in a.warnings]


def _read(path: Path) -> Adapter:
    if os.path.isdir(path):
        if not os.path.isfile(path / WEIGHTS_NAME):
            raise ZooError(
                f"{shown(path)}: expected a LoRA file or a PEFT folder "
                f"({WEIGHTS_NAME} and {CONFIG_NAME}), found another folder",
                "name a LoRA file",
            )
        path = path / WEIGHTS_NAME
    adapter = read_adapter(path)
    check_vector(adapter)
    if adapter.base_model != BASE_MODEL:
        raise ZooError(
            f"{shown(path)}: expected a LoRA of {BASE_MODEL}, found one of "
            f"{adapter.base_model}",
            f"pictures are drawn by {BASE_MODEL} alone; train one with "
            "lorajax zoo train",
        )
    return adapter
