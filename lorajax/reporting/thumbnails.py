"""Small pictures of LoRAs, as data that an `<img>` can hold.

A picture is the preview that lies beside a LoRA's file, or a few pictures of its
behaviour set.
"""

from base64 import b64encode
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from lorajax.errors import FormatError
from lorajax.formats.previews import previews_beside
from lorajax.formats.scan import lora_name
from lorajax.pictures.behaviour_set import (
    BehaviourSet,
    has_behaviour,
    read_behaviour_set,
    read_strip,
)
from lorajax.pictures.small import small_picture

SIDE = 96
# In bytes of the page; what does not fit is left without a picture.
BUDGET = 5 * 2**20
QUALITY = 82
_PREFIX = "data:image/jpeg;base64,"


def thumbnails(
    folder: Path, files: Iterable[Path], budget: int = BUDGET
) -> dict[Path, str]:
    """LoRA file → data URI, for the files with a picture.

    Args:
      folder: of the collection, where a behaviour set may lie.
      files: those that matter most first: the page's budget is spent in this order.
    """
    behaviour, found = _behaviour(folder), {}
    for file in files:
        image = _preview(file) or _behaviour_picture(behaviour, file)
        if image is None:
            continue
        uri = _data_uri(image)
        if len(uri) > budget:
            break
        found[file], budget = uri, budget - len(uri)
    return found


def _preview(file: Path) -> Image.Image | None:
    """The first picture beside a file that can be read, small."""
    pictures = (small_picture(path, SIDE) for path in previews_beside(file))
    return next((picture for picture in pictures if picture is not None), None)


def _behaviour(folder: Path) -> BehaviourSet | None:
    try:
        return read_behaviour_set(folder) if has_behaviour(folder) else None
    except FormatError:
        return None


def _behaviour_picture(
    behaviour: BehaviourSet | None, file: Path
) -> Image.Image | None:
    """The first four pictures of a LoRA's strip, two by two."""
    try:
        strip = behaviour and read_strip(behaviour, lora_name(file))
    except FormatError:
        return None
    if behaviour is None or strip is None:
        return None
    corners = np.resize(strip, (4, *strip.shape[1:]))
    rows = [np.concatenate(list(corners[i : i + 2]), axis=1) for i in (0, 2)]
    pixels = np.round(np.concatenate(rows) * 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def _data_uri(image: Image.Image) -> str:
    file = BytesIO()
    image.save(file, "JPEG", quality=QUALITY, optimize=True)
    return _PREFIX + b64encode(file.getvalue()).decode()
