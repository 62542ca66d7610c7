"""A stranger's picture made small, or none: nothing large is ever decoded.

Sizes are checked before anything is decoded, and what cannot be read is no picture.
"""

import struct
import warnings
import zlib
from io import BytesIO
from pathlib import Path

from PIL import Image

MAX_PIXELS, MAX_FILE = 2**25, 2**26
FORMATS = ["PNG", "JPEG", "WEBP"]


def small_picture(source: Path | bytes, side: int) -> Image.Image | None:
    """The picture in RGB, at most `side` wide and high; see-through parts are white."""
    try:
        if isinstance(source, bytes):
            return _decoded(BytesIO(source), side)
        return _decoded(source, side) if source.stat().st_size <= MAX_FILE else None
    except (
        *(OSError, ValueError, SyntaxError, struct.error, zlib.error),
        *(Image.DecompressionBombError, Image.DecompressionBombWarning),
    ):
        return None


def _decoded(source: Path | BytesIO, side: int) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(source, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError("too many pixels")
            image.draft("RGB", (2 * side, 2 * side))
            small = image.convert("RGBA")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    ground = Image.new("RGBA", small.size, "white")
    return Image.alpha_composite(ground, small).convert("RGB")
