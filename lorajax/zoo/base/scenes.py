"""Procedurally drawn pictures with captions: what the zoo's base model has seen.

A scene has one or two objects on a background. `sample_scenes` draws what is in it,
`draw` renders it (32x32, colours in [-1, 1]) and `caption` says it in words of a
closed vocabulary, always within eight tokens:

    small red circle left large blue ring sea

The second object lies opposite the first, so its place needs no word.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

SIDE = 32
TOKENS = 8
ABSENT = -1

SHAPES = ("circle", "square", "triangle", "ring", "cross", "diamond", "bar", "star")
SIZES = {"small": 0.24, "large": 0.42}
COLOURS = {
    "red": (0.90, 0.12, 0.15),
    "green": (0.10, 0.68, 0.22),
    "blue": (0.12, 0.28, 0.90),
    "yellow": (0.98, 0.86, 0.12),
    "purple": (0.56, 0.16, 0.72),
    "orange": (0.98, 0.50, 0.08),
    "cyan": (0.15, 0.80, 0.88),
    "pink": (0.98, 0.52, 0.74),
}
PLACES = {
    "center": (0.0, 0.0),
    "left": (-0.48, 0.0),
    "right": (0.48, 0.0),
    "top": (0.0, -0.48),
    "bottom": (0.0, 0.48),
}
BACKGROUNDS = {
    "white": ((0.96, 0.96, 0.96), (0.96, 0.96, 0.96)),
    "gray": ((0.50, 0.50, 0.52), (0.50, 0.50, 0.52)),
    "black": ((0.05, 0.05, 0.07), (0.05, 0.05, 0.07)),
    "sand": ((0.93, 0.85, 0.66), (0.93, 0.85, 0.66)),
    "sky": ((0.35, 0.62, 0.96), (0.92, 0.96, 1.00)),
    "dusk": ((0.28, 0.10, 0.42), (0.98, 0.62, 0.35)),
    "meadow": ((0.78, 0.92, 0.62), (0.16, 0.42, 0.16)),
    "sea": ((0.10, 0.60, 0.66), (0.02, 0.10, 0.32)),
}
WORDS = ("", *SIZES, *COLOURS, *SHAPES, *PLACES, *BACKGROUNDS)
VOCABULARY = {word: i for i, word in enumerate(WORDS)}


@dataclass(frozen=True)
class Content:
    """Which shapes, colours and backgrounds may occur: a LoRA's training subject."""

    shapes: tuple[str, ...] = SHAPES
    colours: tuple[str, ...] = tuple(COLOURS)
    backgrounds: tuple[str, ...] = tuple(BACKGROUNDS)

    @property
    def tags(self) -> tuple[str, ...]:
        return (*self.shapes, *self.colours, *self.backgrounds)


@dataclass(frozen=True)
class Scenes:
    """A batch of scenes as indices into the vocabularies above.

    Attributes:
      shape, colour, size: one column per object; the second is ABSENT for one object.
      place: of the first object.
      jitter: offset of each object's centre and the logarithm of its relative size.
    """

    shape: Int[np.ndarray, "b 2"]
    colour: Int[np.ndarray, "b 2"]
    size: Int[np.ndarray, "b 2"]
    place: Int[np.ndarray, " b"]
    background: Int[np.ndarray, " b"]
    jitter: Float[np.ndarray, "b 2 3"]

    def __len__(self) -> int:
        return len(self.place)


EVERYTHING = Content()


def sample_scenes(
    rng: np.random.Generator, count: int, content: Content = EVERYTHING
) -> Scenes:
    """Draws `count` scenes of nothing but `content`; about half have two objects."""

    def choose(words: Sequence[str], known: Sequence[str], width: int) -> np.ndarray:
        indices = np.array([known.index(word) for word in words])
        return indices[rng.integers(len(indices), size=(count, width))]

    shape = choose(content.shapes, SHAPES, 2)
    colour = choose(content.colours, tuple(COLOURS), 2)
    background = choose(content.backgrounds, tuple(BACKGROUNDS), 1)[:, 0]
    size = rng.integers(len(SIZES), size=(count, 2))
    place = rng.integers(len(PLACES), size=count)
    jitter = rng.uniform(-0.06, 0.06, size=(count, 2, 3))
    two = (rng.random(count) < 0.6) & (place > 0)
    shape[~two, 1] = ABSENT
    return Scenes(shape, colour, size, place, background, jitter)


def caption(scenes: Scenes, index: int) -> str:
    """What is to be seen in one scene, in at most eight words."""
    words = []
    for i in range(2):
        if scenes.shape[index, i] == ABSENT:
            continue
        words += [
            tuple(SIZES)[scenes.size[index, i]],
            tuple(COLOURS)[scenes.colour[index, i]],
            SHAPES[scenes.shape[index, i]],
        ]
        if i == 0:
            words.append(tuple(PLACES)[scenes.place[index]])
    return " ".join([*words, tuple(BACKGROUNDS)[scenes.background[index]]])


def captions(scenes: Scenes) -> list[str]:
    """The caption of every scene."""
    return [caption(scenes, i) for i in range(len(scenes))]


def tokenise(texts: Sequence[str]) -> Int[np.ndarray, "b tokens"]:
    """Captions as word numbers, padded with 0; unknown words drop out."""
    tokens = np.zeros((len(texts), TOKENS), np.int32)
    for row, text in zip(tokens, texts, strict=True):
        known = [VOCABULARY[word] for word in text.split() if word in VOCABULARY]
        row[: len(known)] = known[:TOKENS]
    return tokens


def draw(scenes: Scenes) -> Float[np.ndarray, "b 32 32 3"]:
    """Renders a batch of scenes with soft edges, colours in [-1, 1]."""
    top, bottom = (
        np.array([pair[i] for pair in BACKGROUNDS.values()], np.float32)[
            scenes.background
        ]
        for i in range(2)
    )
    down = np.linspace(0, 1, SIDE, dtype=np.float32)[None, :, None, None]
    picture = top[:, None, None] * (1 - down) + bottom[:, None, None] * down
    picture = np.repeat(picture, SIDE, axis=2)
    for i in range(2):
        cover = _cover(scenes, i)[..., None]
        colour = np.array(list(COLOURS.values()), np.float32)[scenes.colour[:, i]]
        picture = picture * (1 - cover) + colour[:, None, None] * cover
    return 2 * picture - 1


def _cover(scenes: Scenes, i: int) -> Float[np.ndarray, "b 32 32"]:
    """How much of every pixel object `i` covers, 0 to 1."""
    sizes = np.array(list(SIZES.values()))
    centre = np.array(list(PLACES.values()))[scenes.place] * (1 if i == 0 else -1)
    centre = centre + scenes.jitter[:, i, :2]
    size = sizes[scenes.size[:, i]] * np.exp(scenes.jitter[:, i, 2])
    axis = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    shape = scenes.shape[:, i]
    cover = np.zeros((len(scenes), SIDE, SIDE), np.float32)
    for j, name in enumerate(SHAPES):
        rows = np.flatnonzero(shape == j)
        x = (axis[None, None, :] - centre[rows, 0, None, None]) / size[rows, None, None]
        y = (axis[None, :, None] - centre[rows, 1, None, None]) / size[rows, None, None]
        distance = _distance(name, x, y) * size[rows, None, None] * SIDE / 2
        cover[rows] = np.clip(0.5 - distance, 0, 1)
    return cover


def _distance(
    shape: str, x: Float[np.ndarray, "b 1 w"], y: Float[np.ndarray, "b h 1"]
) -> Float[np.ndarray, "b h w"]:
    """Signed distance to a shape of radius about 1, negative inside; `y` is down."""
    radius = np.hypot(x, y)
    if shape == "circle":
        return radius - 0.95
    if shape == "square":
        return np.maximum(abs(x), abs(y)) - 0.85
    if shape == "triangle":
        return np.maximum(0.87 * abs(x) - 0.5 * (y + 0.1) - 0.45, y - 0.75)
    if shape == "ring":
        return abs(radius - 0.72) - 0.26
    if shape == "cross":
        near, far = np.minimum(abs(x), abs(y)), np.maximum(abs(x), abs(y))
        return np.maximum(near - 0.28, far - 0.98)
    if shape == "diamond":
        return (abs(x) + abs(y) - 1.1) / np.sqrt(2)
    if shape == "bar":
        return np.maximum(abs(x) - 1.0, abs(y) - 0.35)
    angle = np.arctan2(x, -y)
    wave = np.abs((angle * 5 / (2 * np.pi)) % 1 * 2 - 1)  # 1 at the five points
    return (radius - (0.42 + 0.68 * wave**1.3)) * 0.75
