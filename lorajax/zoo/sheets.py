"""Contact sheets: pictures that the base model and LoRAs make of the same captions.

    python -m lorajax.zoo.sheets --out docs/images

draws the two sheets of the documentation (a minute on two cores).
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw

from lorajax.config.zoo import ZooSettings
from lorajax.zoo.base import load_base
from lorajax.zoo.lora_training import pad, train_loras
from lorajax.zoo.model import Lora, Params, sample
from lorajax.zoo.recipes import make_recipes
from lorajax.zoo.scenes import BACKGROUNDS, COLOURS, SHAPES, SIDE, tokenise

LABEL, LINE = 120, 11
CAPTIONS = (
    "large red circle center white",
    "large green star center gray",
    "large yellow ring center sea",
    "small blue square left large orange cross sand",
    "small pink triangle top large purple diamond meadow",
    "large cyan bar bottom small red star dusk",
    "large orange diamond right small green circle black",
    "large purple square center sky",
)
_SAMPLE = jax.jit(sample, static_argnames=("steps", "guidance"))


def sample_pictures(
    params: Params, texts: Sequence[str], seed: int, lora: Lora | None = None
) -> Float[np.ndarray, "b side side 3"]:
    """One picture for each caption; a seed gives the same noise with any LoRA."""
    noise = jax.random.normal(jax.random.key(seed), (len(texts), SIDE, SIDE, 3))
    return np.asarray(_SAMPLE(params, noise, jnp.asarray(tokenise(texts)), lora))


def sheet(
    params: Params,
    loras: Mapping[str, Lora],
    texts: Sequence[str] = CAPTIONS,
    seed: int = 0,
    zoom: int = 2,
) -> Image.Image:
    """A row of pictures for the base model and for each LoRA, a column per caption."""
    rows = {"base": sample_pictures(params, texts, seed)}
    for name, lora in loras.items():
        rows[name] = sample_pictures(params, texts, seed, lora)
    return paste(rows, texts, zoom)


def base_sheet(params: Params, seed: int = 0, zoom: int = 2) -> Image.Image:
    """What the base model draws: a row per shape, a column per colour and ground."""
    columns = list(zip(COLOURS, BACKGROUNDS, strict=True))
    rows = {}
    for i, shape in enumerate(SHAPES):
        texts = [f"large {colour} {shape} center {on}" for colour, on in columns]
        rows[shape] = sample_pictures(params, texts, seed + i)
    for i, shape in enumerate(SHAPES[:4]):
        texts = [
            f"small {colour} {shape} top large red star {on}" for colour, on in columns
        ]
        rows[f"small {shape} top,\nlarge red star"] = sample_pictures(params, texts, i)
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
    image = Image.fromarray(np.round((picture + 1) * 127.5).astype(np.uint8))
    return image.resize((SIDE * zoom, SIDE * zoom), Image.Resampling.NEAREST)


def demo_sheet(params: Params, settings: ZooSettings, styles: int = 8) -> Image.Image:
    """Base against one really trained LoRA of each of the first styles met."""
    recipes = {recipe.style.name: recipe for recipe in reversed(make_recipes(settings))}
    chosen = list(recipes.values())[-styles:]
    trained = train_loras(params, chosen, settings.batch_size)
    loras = {}
    for recipe, factors in zip(chosen, trained, strict=True):
        attributes = [
            f"{name} {strength}" for name, strength in recipe.style.attributes
        ]
        label = "\n".join([f"{recipe.style.name}, rank {recipe.rank}", *attributes])
        loras[label] = pad(factors, recipe.scale)
    return sheet(params, loras)


def main() -> None:
    """Command line that draws the documentation's sheets."""
    parser = argparse.ArgumentParser(description="Draws the zoo's contact sheets.")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    params = load_base()
    for name, page in {
        "zoo-base-samples": base_sheet(params),
        "zoo-demo": demo_sheet(params, ZooSettings()),
    }.items():
        page.save(out / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
