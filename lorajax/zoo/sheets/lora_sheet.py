"""A page of pictures that LoRAs draw: rows are prompts and strengths, columns seeds.

Every picture begins from the noise of its seed alone, so that it is the same on any
page, and two rows differ by the LoRAs and the prompt only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from lorajax.errors import ZooError
from lorajax.zoo.base.model import Changes, Params
from lorajax.zoo.base.scenes import SIDE
from lorajax.zoo.base.words import readable
from lorajax.zoo.lora.drawing import as_bytes, draw_pictures

LABEL, HEADER, GAP, LINE = 190, 20, 2, 14
LETTERS = 28
MAX_PAGE = 2**26
# Looked for by name in the system's folders, where a label is not Latin.
FONTS = (
    "NotoSansCJK-Regular.ttc",
    "meiryo.ttc",
    "YuGothM.ttc",
    "ヒラギノ角ゴシック W3.ttc",
)


@dataclass(frozen=True)
class Row:
    """What one row of the page is drawn with.

    Attributes:
      who: the LoRAs and their strengths, or `base`.
      changes: what they add; None for the base model.
    """

    prompt: str
    who: str
    changes: Changes | None


@dataclass(frozen=True)
class Drawing:
    """How pictures are drawn and laid out."""

    seeds: tuple[int, ...]
    steps: int
    guidance: float
    zoom: int


def make_rows(
    prompts: Sequence[str], sources: Sequence[tuple[str, Changes | None]]
) -> list[Row]:
    """Every prompt with every source, the sources of a prompt below each other.

    Args:
      sources: label and changes of each.
    """
    return [Row(prompt, who, changes) for prompt in prompts for who, changes in sources]


def draw_rows(
    params: Params,
    rows: Sequence[Row],
    drawing: Drawing,
    on_picture: Callable[[int], None] = lambda done: None,
) -> tuple[list[UInt8[np.ndarray, "seeds side side 3"]], int]:
    """The pictures of every row, and how many of them are no pictures.

    A strength far above 1 can drive the flow out of all numbers; such a picture is
    gray.
    """
    drawn, lost = [], 0
    for row in rows:
        pictures = []
        for seed in drawing.seeds:
            picture = _draw_one(params, row, seed, drawing)
            lost += not np.isfinite(picture).all()
            pictures.append(as_bytes(np.nan_to_num(picture)))
            on_picture(len(drawn) * len(drawing.seeds) + len(pictures))
        drawn.append(np.stack(pictures))
    return drawn, lost


def _draw_one(
    params: Params, row: Row, seed: int, drawing: Drawing
) -> Float[np.ndarray, "side side 3"]:
    text = readable(row.prompt)
    made = draw_pictures(
        params, [text], seed, row.changes, drawing.steps, drawing.guidance
    )
    return made[0]


def check_page(rows: int, drawing: Drawing) -> None:
    """Refuses a page that is too large before anything is drawn.

    Raises:
      ZooError: with the number of its pixels.
    """
    width, height = _size(rows, drawing)
    if width * height > MAX_PAGE:
        raise ZooError(
            f"expected a sheet of at most {MAX_PAGE:,} pixels, found "
            f"{width} x {height}",
            "choose a lower --zoom, or fewer prompts and seeds",
        )


def paste(
    rows: Sequence[Row],
    drawn: Sequence[UInt8[np.ndarray, "seeds side side 3"]],
    drawing: Drawing,
) -> Image.Image:
    """The page: labels at the left, seeds above."""
    page = Image.new("RGB", _size(len(rows), drawing), "white")
    pen = ImageDraw.Draw(page)
    step, height = SIDE * drawing.zoom + GAP, _row_height(drawing)
    for j, seed in enumerate(drawing.seeds):
        _write(pen, (LABEL + j * step, 3), f"seed {seed}" if step > 60 else str(seed))
    for i, (row, pictures) in enumerate(zip(rows, drawn, strict=True)):
        top = HEADER + i * height
        lines = [*wrap(row.prompt, LETTERS)[:3], *wrap(row.who, LETTERS)[:2]]
        for k, line in enumerate(lines):
            _write(pen, (4, top + k * LINE), line)
        for j, picture in enumerate(pictures):
            side = SIDE * drawing.zoom
            image = Image.fromarray(picture).resize(
                (side, side), Image.Resampling.NEAREST
            )
            page.paste(image, (LABEL + j * step, top))
    return page


def _size(rows: int, drawing: Drawing) -> tuple[int, int]:
    step = SIDE * drawing.zoom + GAP
    width = LABEL + step * len(drawing.seeds)
    return width, HEADER + _row_height(drawing) * rows


def _row_height(drawing: Drawing) -> int:
    """Room for a picture and for five lines of its label."""
    return max(SIDE * drawing.zoom + GAP, 5 * LINE)


def _write(pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str) -> None:
    pen.text(at, text, fill="black", font=_font(text))


def _font(text: str) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Pillow's own font; for other scripts the first that the system has."""
    for name in () if text.isascii() else FONTS:
        try:
            return ImageFont.truetype(name, 11)
        except OSError:
            continue
    return ImageFont.load_default(11)
