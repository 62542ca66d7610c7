"""A person's own folder → captioned pictures that a LoRA can train on.

Pictures are cropped to the square in their middle and reduced to 32x32 by area
averaging. Nothing in the folder is trusted: the count, every file's size and its
pixels are bounded before anything is decoded, and what cannot be read is refused by
name while the rest is used. Previews that lie beside LoRAs are passed over: LoRAs drew
them.
"""

import contextlib
import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageOps

from lorajax.errors import ZooError
from lorajax.formats.scan import Refusal
from lorajax.formats.text import clean, listed, shown
from lorajax.zoo.base.scenes import SIDE
from lorajax.zoo.base.words import tokenise_text, words_of
from lorajax.zoo.lora.training import Pictures

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
CAPTION_ENDINGS = (".txt", ".caption")
PREVIEW = ".preview."
MAX_PICTURES = 4096
MAX_ENTRIES = 100_000
MAX_BYTES = 2**28
MAX_PIXELS = 2**26
MAX_CAPTION = 1000
ORIENTATION = 0x0112  # the EXIF tag
_FORMATS = ("PNG", "JPEG", "WEBP")
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


@dataclass(frozen=True)
class OwnPictures:
    """What a folder holds.

    Attributes:
      pictures: the pictures and what the base model reads of their captions.
      captions: the whole captions, with the trigger word before them.
      refused: pictures that could not be used.
      previews: pictures that were passed over, since LoRAs drew them.
    """

    pictures: Pictures
    captions: tuple[str, ...]
    refused: tuple[Refusal, ...]
    previews: tuple[Path, ...] = ()

    @property
    def notes(self) -> list[str]:
        """What a person should know, a line each."""
        if not self.previews:
            return []
        names = listed(path.name for path in self.previews)
        return [f"passed over previews that lie beside LoRAs: {names}"]


def read_own_pictures(
    folder: Path,
    trigger: str = "",
    on_picture: Callable[[int, int], None] = lambda done, total: None,
) -> OwnPictures:
    """The pictures directly in a folder, in the order of their names.

    Args:
      trigger: a word that every caption begins with.
      on_picture: called with (pictures looked at, pictures in all).

    Raises:
      ZooError: for a folder without a usable picture, or with too many.
    """
    arrays, captions, refused = [], [], []
    paths, previews = _picture_paths(folder)
    for done, path in enumerate(paths):
        on_picture(done + 1, len(paths))
        try:
            arrays.append(read_picture(path))
        except ZooError as error:
            refused.append(Refusal(path, error.message, error.hint))
            continue
        captions.append(begin_with(trigger, read_caption(path)))
    if not arrays:
        raise _none_usable(folder, refused, previews)
    pictures = Pictures(np.stack(arrays), tokenise_text(captions))
    return OwnPictures(pictures, tuple(captions), tuple(refused), tuple(previews))


def begin_with(trigger: str, caption: str) -> str:
    """A caption with the trigger word before it, once.

    >>> begin_with("ink", "red circle"), begin_with("ink", "Ink, red circle")
    ('ink red circle', 'ink, red circle')
    """
    there = re.match(rf"{re.escape(trigger)}(?![\w-])", caption, re.IGNORECASE)
    if trigger and there:
        return trigger + caption[there.end() :]
    return " ".join(filter(None, (trigger, caption)))


def read_picture(path: Path) -> Float[np.ndarray, "side side 3"]:
    """One picture at the size of the base model, colours in [-1, 1].

    Raises:
      ZooError: for what is no picture of bearable size.
    """
    try:
        small = _decode(path)
    except ZooError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path, clean(str(error), 40)) from error
    # Decoders fail in many ways on damaged files; each of them is one refusal.
    except Exception as error:
        raise ZooError(
            f"{shown(path)}: expected a PNG, JPEG or WebP picture, found damage or "
            f"another format ({clean(str(error).replace(str(path), path.name), 80)})",
            "open it in a picture program and save it again",
        ) from error
    return 2 * (np.asarray(small, np.float32) / 255) - 1


def read_caption(path: Path) -> str:
    """A picture's caption: the text file of its name, else the words of its name."""
    for ending in CAPTION_ENDINGS:
        beside = path.with_suffix(ending)
        with contextlib.suppress(OSError, ValueError):
            if stat.S_ISREG(beside.stat().st_mode):
                with beside.open("rb") as file:
                    raw = file.read(8 * MAX_CAPTION)
                return clean(raw.decode("utf-8-sig", "replace"), MAX_CAPTION)
    return clean(" ".join(words_of(path.stem)), MAX_CAPTION)


def _decode(path: Path) -> Image.Image:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ZooError(
            f"{shown(path)}: expected a picture of at most {MAX_BYTES:,} bytes, "
            f"found {size:,}",
            "reduce it first",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=_FORMATS) as image:
            _check(path, image)
            return _reduce(image)


def _check(path: Path, image: Image.Image) -> None:
    """Refuses by the header alone, before pixels are decoded."""
    width, height = image.size
    if not 0 < width * height <= MAX_PIXELS:
        raise _too_large(path, f"{width} x {height}")
    if image.mode not in _MODES:
        raise ZooError(
            f"{shown(path)}: expected 8 bits a colour, found mode {image.mode}",
            "save it again as an ordinary picture",
        )


def _too_large(path: Path, found: str) -> ZooError:
    return ZooError(
        f"{shown(path)}: expected at most {MAX_PIXELS:,} pixels, found {found}",
        f"reduce it first: {SIDE} x {SIDE} pixels are used",
    )


def _reduce(image: Image.Image) -> Image.Image:
    """The square in the middle, upright, on white where it is transparent."""
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    middle = (left, top, left + side, top + side)
    turned = image.getexif().get(ORIENTATION, 1)
    whole = image.convert("RGBA" if image.has_transparency_data else "RGB")
    small = whole.resize((SIDE, SIDE), Image.Resampling.BOX, box=middle)
    if small.mode == "RGBA":
        ground = Image.new("RGBA", small.size, "white")
        small = Image.alpha_composite(ground, small).convert("RGB")
    small.getexif()[ORIENTATION] = turned
    return ImageOps.exif_transpose(small)


def _picture_paths(folder: Path) -> tuple[list[Path], list[Path]]:
    """A folder's pictures, and apart from them the previews of LoRAs."""
    paths, previews = [], []
    for path in sorted(_entries(folder, PICTURE_ENDINGS)):
        (previews if PREVIEW in path.name.lower() else paths).append(path)
    if len(paths) > MAX_PICTURES:
        raise ZooError(
            f"{shown(folder)}: expected at most {MAX_PICTURES:,} pictures, found "
            f"{len(paths):,}",
            "choose some of them: a style is learned from a few dozen",
        )
    return paths, previews


def _entries(folder: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    """Regular files of these endings; hidden ones are other programs' own."""
    try:
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries):
                if count == MAX_ENTRIES:
                    raise ZooError(
                        f"{shown(folder)}: expected a folder of pictures, found more "
                        f"than {MAX_ENTRIES:,} files",
                        "put the pictures into a folder of their own",
                    )
                known = entry.name.lower().endswith(endings)
                if known and not entry.name.startswith(".") and entry.is_file():
                    yield Path(entry.path)
    except OSError as error:
        reason = clean(error.strerror or type(error).__name__, 80)
        raise ZooError(
            f"{shown(folder)}: expected a folder of pictures, found: {reason}",
            "name the folder that holds the pictures",
        ) from error


def _none_usable(
    folder: Path, refused: list[Refusal], previews: list[Path]
) -> ZooError:
    kinds = ", ".join(PICTURE_ENDINGS)
    if refused:
        first = refused[0]
        return ZooError(
            f"none of {len(refused)} pictures could be used, the first: "
            f"{first.message}",
            first.hint,
        )
    return ZooError(
        f"{shown(folder)}: expected pictures ({kinds}), found "
        f"{'only previews of LoRAs' if previews else 'none'}",
        "name the folder that holds them itself: folders below are not entered",
    )
