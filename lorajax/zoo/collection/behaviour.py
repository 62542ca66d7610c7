"""What LoRAs do to pictures: the captions that all draw, and the strips they leave.

Every LoRA of a collection draws the same captions from the same noise, so that what
differs between two strips is the LoRAs alone. `lorajax.pictures` reads them.
"""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from lorajax.config.zoo import ZooSettings
from lorajax.pictures.behaviour_set import BASE, FOLDER, INDEX, VERSION
from lorajax.zoo.base.model import Params
from lorajax.zoo.base.scenes import captions, sample_scenes
from lorajax.zoo.files.placing import place
from lorajax.zoo.lora.drawing import as_bytes, draw_pictures

PREVIEW_ZOOM = 4


def behaviour_captions(settings: ZooSettings) -> list[str]:
    """The captions of a collection, the two halves in turn."""
    rng = np.random.default_rng([settings.seed, 2])
    return captions(sample_scenes(rng, settings.captions))


def begin_behaviour(folder: Path, params: Params, settings: ZooSettings) -> None:
    """Writes the index of the behaviour set and what the base model draws."""
    texts = behaviour_captions(settings)
    index = {
        "version": VERSION,
        "captions": [{"text": t, "half": 1 + i % 2} for i, t in enumerate(texts)],
        "seed": settings.seed,
        "steps": settings.sampler_steps,
        "guidance": settings.guidance,
        "strength": 1.0,
    }
    base = draw_pictures(
        params, texts, settings.seed, None, settings.sampler_steps, settings.guidance
    )
    (folder / FOLDER).mkdir(exist_ok=True)
    place(strip_path(folder, BASE), strip_png(as_bytes(base)))
    place(folder / FOLDER / INDEX, json.dumps(index, indent=1).encode())


def strip_path(folder: Path, name: str) -> Path:
    """Where the strip of a LoRA lies in its collection."""
    return folder / FOLDER / f"{name}.png"


def strip_png(pictures: UInt8[np.ndarray, "c side side 3"]) -> bytes:
    """Pictures side by side as a PNG file."""
    return _png(Image.fromarray(np.concatenate(list(pictures), axis=1)))


def preview_png(pictures: UInt8[np.ndarray, "c side side 3"]) -> bytes:
    """Four pictures of a LoRA as the preview that collections keep beside it."""
    corners = np.resize(pictures, (4, *pictures.shape[1:]))
    rows = [np.concatenate(list(corners[i : i + 2]), axis=1) for i in (0, 2)]
    page = Image.fromarray(np.concatenate(rows, axis=0))
    size = (page.width * PREVIEW_ZOOM, page.height * PREVIEW_ZOOM)
    return _png(page.resize(size, Image.Resampling.NEAREST))


def _png(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
