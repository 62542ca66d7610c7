"""A rendered behaviour set on disk: one strip of pictures for each LoRA.

`behaviour/behaviour.json` says which captions the pictures were made from and which
half each caption belongs to; `behaviour/<lora name>.png` holds a LoRA's pictures side
by side, in the order of the captions. Such files may come from anywhere, so sizes are
checked before anything is decoded.
"""

import json
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from lorajax.errors import FormatError
from lorajax.formats.text import clean, shown
from lorajax.pictures.descriptor import SIDE

FOLDER, INDEX = "behaviour", "behaviour.json"
BASE = "_base"
VERSION = 1
HALVES = (1, 2)
MAX_TEXT = 2**20
MAX_CAPTIONS = 512
MAX_PIXELS = 2**25
MODES = ("1", "L", "LA", "P", "RGB", "RGBA")
_SIGNATURE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_HEADER = 24


@dataclass(frozen=True)
class BehaviourSet:
    """Which pictures there are of every LoRA.

    Attributes:
      folder: holds the strips.
      captions: what each picture of a strip shows, from left to right.
      halves: 1 or 2 for each caption: half 1 teaches, half 2 is kept apart.
    """

    folder: Path
    captions: tuple[str, ...]
    halves: Int[np.ndarray, " c"]


def has_behaviour(collection: Path) -> bool:
    """Whether a collection's folder holds a rendered behaviour set."""
    return (collection / FOLDER / INDEX).is_file()


def read_behaviour_set(collection: Path) -> BehaviourSet:
    """The index of a collection's behaviour set.

    Raises:
      FormatError: for a file that is not such an index.
    """
    folder = collection / FOLDER
    document = _read_index(folder / INDEX)
    try:
        rows = document["captions"]
        texts = tuple(clean(str(row["text"])) for row in rows[:MAX_CAPTIONS])
        halves = [row["half"] for row in rows]
    except (KeyError, TypeError) as error:
        raise _bad_index(folder / INDEX, "another structure") from error
    if document.get("version") != VERSION:
        raise _bad_index(folder / INDEX, f"version {document.get('version')}")
    if len(halves) > MAX_CAPTIONS or not all(half in HALVES for half in halves):
        raise _bad_index(folder / INDEX, f"{len(halves)} captions, other halves")
    if set(halves) != set(HALVES):
        raise _bad_index(folder / INDEX, "captions of one half alone")
    return BehaviourSet(folder, texts, np.array(halves, np.int64))


def read_strip(
    behaviour: BehaviourSet, name: str, side: int | None = SIDE
) -> Float[np.ndarray, "c side side 3"] | None:
    """A LoRA's pictures, colours in [0, 1], reduced to 32 x 32 by area averaging.

    Args:
      name: of the LoRA, or `BASE` for what the base model draws.
      side: pixels of a side to reduce them to; None leaves them as they are.

    Returns:
      None where there is no file of that name.

    Raises:
      FormatError: for a file that is no PNG of the expected shape.
    """
    path, count = behaviour.folder / f"{name}.png", len(behaviour.captions)
    if not _is_file(path):
        return None
    try:
        _check_header(path, count)
        strip = _decode(path, count, side)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _bad_strip(path, count, clean(str(error), 40)) from error
    except (OSError, ValueError, SyntaxError, struct.error, zlib.error) as error:
        raise _bad_strip(path, count, f"damage ({clean(str(error), 80)})") from error
    pixels = np.asarray(strip, np.float32) / 255
    side = len(pixels)
    return pixels.reshape(side, count, side, 3).transpose(1, 0, 2, 3)


def _read_index(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_TEXT + 1)
        document = json.loads(raw) if len(raw) <= MAX_TEXT else None
    except (OSError, ValueError, RecursionError) as error:
        raise _bad_index(path, clean(str(error), 80)) from error
    if not isinstance(document, dict):
        raise _bad_index(path, f"{len(raw)} bytes of something else")
    return document


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long for the disk has no file
        return False


def _decode(path: Path, count: int, side: int | None) -> Image.Image:
    """The strip at the size that is read."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=["PNG"]) as image:
            # A second header may say something else than the first: the last counts.
            _check_size(path, count, *image.size)
            if image.mode not in MODES:
                raise _bad_strip(path, count, f"pixels of mode {image.mode}")
            colours = image.convert("RGB")
            if side is None:
                return colours
            # The strip's boxes never cross from one picture to the next.
            return colours.resize((side * count, side), Image.Resampling.BOX)


def _check_header(path: Path, count: int) -> None:
    """Refuses by the first bytes alone what is not `count` squares."""
    with path.open("rb") as file:
        header = file.read(_HEADER)
    if len(header) < _HEADER or not header.startswith(_SIGNATURE):
        raise _bad_strip(path, count, "another file")
    _check_size(path, count, *struct.unpack(">II", header[len(_SIGNATURE) :]))


def _check_size(path: Path, count: int, width: int, height: int) -> None:
    if width != height * count or not 0 < width * height <= MAX_PIXELS:
        raise _bad_strip(path, count, f"{width} x {height} pixels")


def _bad_index(path: Path, found: str) -> FormatError:
    return FormatError(
        f'{shown(path)}: expected {{"version": {VERSION}, "captions": [{{"text", '
        f'"half": 1 or 2}}, …]}} with captions of both halves, found {clean(found)}',
        "draw the behaviour set again, or remove the folder to do without",
    )


def _bad_strip(path: Path, count: int, found: str) -> FormatError:
    return FormatError(
        f"{shown(path)}: expected a PNG of {count} square pictures side by side "
        f"(at most {MAX_PIXELS:,} pixels), found {found}",
        "draw it again or remove it: without pictures a LoRA is in no triplet",
    )
