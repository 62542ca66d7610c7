"""The picture sheet of a collection: styles × captions, cut from the behaviour set."""

import json
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from lorajax.errors import ZooError
from lorajax.formats.text import clean, shown
from lorajax.pictures.behaviour_set import (
    BASE,
    BehaviourSet,
    has_behaviour,
    read_behaviour_set,
    read_strip,
)
from lorajax.zoo.benchmark.truth import INDEX, read_listed
from lorajax.zoo.sheets.sheet import paste


def style_sheet(folder: Path, styles: int = 24, captions: int = 8) -> Image.Image:
    """What the base model draws, and below it one LoRA of each of some styles.

    The styles are spread evenly over all of them by name, and of each the first LoRA
    by name is shown, so that nobody chooses what is to be seen.

    Raises:
      ZooError: for a collection without pictures.
    """
    listed = read_listed(folder)
    if not has_behaviour(folder):
        raise ZooError(
            f"{shown(folder)}: expected pictures in behaviour/, found none",
            "build the zoo with captions to draw",
        )
    behaviour = read_behaviour_set(folder)
    first: dict[str, str] = {}
    for name, style in zip(listed.names, listed.styles, strict=True):
        first.setdefault(style, name)
    names = sorted(first)
    places = np.unique(np.linspace(0, len(names) - 1, styles).round().astype(int))
    attributes = _attributes(folder)
    rows = {"base model": _row(behaviour, BASE, captions)}
    for style in (names[place] for place in places):
        label = "\n".join([style, *attributes.get(style, ())])
        rows[label] = _row(behaviour, first[style], captions)
    return paste(rows, behaviour.captions[:captions])


def _row(
    behaviour: BehaviourSet, name: str, captions: int
) -> Float[np.ndarray, "c side side 3"]:
    """A LoRA's first pictures, colours in [-1, 1]; grey where it has none."""
    pictures = read_strip(behaviour, name)
    count = min(captions, len(behaviour.captions))
    if pictures is None:
        return np.zeros((count, 32, 32, 3), np.float32)
    return 2 * pictures[:count] - 1


def _attributes(folder: Path) -> dict[str, list[str]]:
    """Style → its attributes with their strengths, a line each."""
    rows = json.loads((folder / INDEX).read_text(encoding="utf-8"))["loras"]
    return {
        row["style"]: [
            f"{clean(str(name), 16)} {strength:g}"
            for name, strength in row.get("attributes", {}).items()
        ]
        for row in rows
    }
