"""Pictures of what a LoRA does: files beside it, or a small one in its metadata.

They are found here and never decoded: a picture is a stranger's file as well.
"""

import base64
import binascii
import os
import re
from collections.abc import Mapping
from pathlib import Path

# The first of these is the one to show.
ENDINGS = tuple(
    f"{middle}.{kind}"
    for middle in (".preview", "")
    for kind in ("png", "jpg", "jpeg", "webp", "gif")
)
THUMBNAIL = "modelspec.thumbnail"
MAX_THUMBNAIL = 2**20
_DATA_URI = re.compile(r"data:image/(?:png|jpeg|webp);base64,")
_LONGEST_URI = 4 * MAX_THUMBNAIL // 3 + 64
_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")


def previews_beside(path: Path) -> tuple[Path, ...]:
    """The pictures that are named like the weights at `path`."""
    beside = (path.with_name(path.stem + ending) for ending in ENDINGS)
    return tuple(picture for picture in beside if os.path.isfile(picture))


def thumbnail(metadata: Mapping[str, str]) -> bytes | None:
    """The picture that ModelSpec keeps in the metadata, as PNG, JPEG or WebP.

    None where there is none, and for what is too large or no such picture: who decodes
    it must bound its pixels.
    """
    uri = metadata.get(THUMBNAIL, "")
    start = _DATA_URI.match(uri)
    if not start or len(uri) > _LONGEST_URI:
        return None
    try:
        picture = base64.b64decode(uri[start.end() :], validate=True)
    except (ValueError, binascii.Error):
        return None
    small = len(picture) <= MAX_THUMBNAIL
    return picture if small and picture.startswith(_SIGNATURES) else None
