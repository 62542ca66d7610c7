"""The picture of a LoRA: a file beside it, or the one in its metadata."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from lorajax.errors import LorajaxError
from lorajax.library import Entry

SIDE = 256


def preview(entry: Entry, side: int = SIDE) -> UInt8[np.ndarray, "h w 3"] | None:
    """RGB pixels, at most `side` wide and high; None where there is no picture.

    A picture that is no picture, is too large, or went away is none.
    """
    from lorajax.formats.previews import THUMBNAIL, previews_beside
    from lorajax.pictures.small import small_picture

    for path in entry.paths:
        for picture in previews_beside(Path(path)):
            if (small := small_picture(picture, side)) is not None:
                return np.asarray(small)
    inside = _thumbnail(entry.path) if entry.told.preview == THUMBNAIL else None
    small = small_picture(inside, side) if inside is not None else None
    return None if small is None else np.asarray(small)


def _thumbnail(path: str) -> bytes | None:
    from lorajax.formats.previews import thumbnail
    from lorajax.formats.safetensors_file import open_tensor_file

    try:
        return thumbnail(open_tensor_file(Path(path)).metadata)
    except LorajaxError:
        return None  # a file that went away or was damaged since has no picture
