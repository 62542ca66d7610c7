"""Contact sheets: pictures that the base model and LoRAs make of the same captions."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw

from lorajax.zoo.model import Lora, Params, sample
from lorajax.zoo.scenes import SIDE, tokenise

LABEL = 84
_SAMPLE = jax.jit(sample, static_argnames=("steps", "guidance"))


def sample_pictures(
    params: Params, texts: Sequence[str], seed: int, lora: Lora | None = None
) -> Float[np.ndarray, "b side side 3"]:
    """One picture for each caption; a seed gives the same noise with any LoRA."""
    noise = jax.random.normal(jax.random.key(seed), (len(texts), SIDE, SIDE, 3))
    return np.asarray(_SAMPLE(params, noise, jnp.asarray(tokenise(texts)), lora))


def sheet(
    params: Params,
    texts: Sequence[str],
    loras: Mapping[str, Lora],
    seed: int = 0,
    zoom: int = 2,
) -> Image.Image:
    """A row of pictures for the base model and for each LoRA, a column per caption."""
    rows = {"base": sample_pictures(params, texts, seed)}
    rows |= {
        name: sample_pictures(params, texts, seed, lora) for name, lora in loras.items()
    }
    return paste(rows, zoom)


def paste(
    rows: Mapping[str, Float[np.ndarray, "b side side 3"]], zoom: int = 2
) -> Image.Image:
    """Rows of pictures with their names at the left."""
    step = SIDE * zoom + 2
    widest = max(len(pictures) for pictures in rows.values())
    size = (LABEL + step * widest, step * len(rows))
    page = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(page)
    for i, (name, pictures) in enumerate(rows.items()):
        pen.text((4, i * step + step // 2 - 6), name, fill="black")
        for j, picture in enumerate(pictures):
            page.paste(to_image(picture, zoom), (LABEL + j * step, i * step))
    return page


def to_image(picture: Float[np.ndarray, "side side 3"], zoom: int = 1) -> Image.Image:
    """A picture with colours in [-1, 1] as an image, its pixels kept square."""
    image = Image.fromarray(np.round((picture + 1) * 127.5).astype(np.uint8))
    return image.resize((SIDE * zoom, SIDE * zoom), Image.Resampling.NEAREST)
