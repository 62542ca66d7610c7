"""Contact sheets: rows of pictures with names at the left and captions above.

    python -m lorajax.zoo.sheets.sheet --out docs/images

draws what the base model makes of captions, as the documentation shows it.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw

from lorajax.zoo.base.model import Params
from lorajax.zoo.base.scenes import BACKGROUNDS, COLOURS, SHAPES, SIDE
from lorajax.zoo.base.shipped import load_base
from lorajax.zoo.lora.drawing import as_bytes, draw_pictures

LABEL, LINE = 120, 11


def base_sheet(params: Params, seed: int = 0, zoom: int = 2) -> Image.Image:
    """What the base model draws: a row per shape, a column per colour and ground."""
    columns = list(zip(COLOURS, BACKGROUNDS, strict=True))
    rows = {}
    for i, shape in enumerate(SHAPES):
        texts = [f"large {colour} {shape} center {on}" for colour, on in columns]
        rows[shape] = draw_pictures(params, texts, seed + i)
    for i, shape in enumerate(SHAPES[:4]):
        texts = [
            f"small {colour} {shape} top large red star {on}" for colour, on in columns
        ]
        rows[f"small {shape} top,\nlarge red star"] = draw_pictures(params, texts, i)
    return paste(rows, [" ".join(column) for column in columns], zoom)


def paste(
    rows: Mapping[str, Float[np.ndarray, "b side side 3"]],
    columns: Sequence[str],
    zoom: int = 2,
) -> Image.Image:
    """Rows of pictures with their names at the left and captions word by word above."""
    step = SIDE * zoom + 2
    header = LINE * max(len(text.split()) for text in columns) + 4
    size = (LABEL + step * len(columns), header + step * len(rows))
    page = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(page)
    for j, text in enumerate(columns):
        for line, word in enumerate(text.split()):
            pen.text((LABEL + j * step + 4, line * LINE), word, fill="black")
    for i, (name, pictures) in enumerate(rows.items()):
        top = header + i * step
        pen.text((4, top + 4), name, fill="black")
        for j, picture in enumerate(pictures):
            page.paste(to_image(picture, zoom), (LABEL + j * step, top))
    return page


def to_image(picture: Float[np.ndarray, "side side 3"], zoom: int = 1) -> Image.Image:
    """A picture with colours in [-1, 1] as an image, its pixels kept square."""
    image = Image.fromarray(as_bytes(picture))
    return image.resize((SIDE * zoom, SIDE * zoom), Image.Resampling.NEAREST)


def main() -> None:
    """Command line that draws the documentation's sheet."""
    parser = argparse.ArgumentParser(description="Draws what the base model makes.")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    page = base_sheet(load_base())
    page.save(out / "zoo-base-samples.png", optimize=True)


if __name__ == "__main__":
    main()
