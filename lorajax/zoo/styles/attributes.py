"""The graded picture attributes that styles are composed of.

Each is a pure function of a batch of pictures and a strength in (0, 1]; strength 0
would leave the picture as it is. Attributes of one family do the same kind of thing,
and a style takes at most one of each family, in the families' order: first what moves
pixels, then what draws lines, then what colours them, then what lies on top.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

Pictures = Float[np.ndarray, "b side side 3"]
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def _blend(a: Pictures, b: np.ndarray | float, share: np.ndarray | float) -> Pictures:
    """From `a` (share 0) to `b` (share 1)."""
    return (a * (1 - share) + b * share).astype(np.float32)


def _grid(pictures: Pictures) -> tuple[np.ndarray, np.ndarray]:
    """Pixel rows and columns, [side, side] each."""
    rows, columns = np.mgrid[: pictures.shape[1], : pictures.shape[2]]
    return rows, columns


def _luma(pictures: Pictures) -> Float[np.ndarray, "b side side 1"]:
    return (pictures @ LUMA)[..., None]


# Geometry: pictures read at displaced places.


def _displaced(pictures: Pictures, rows: np.ndarray, columns: np.ndarray) -> Pictures:
    """Bilinear reading at real-valued rows and columns, clamped at the border."""
    last = pictures.shape[1] - 1
    rows, columns = np.clip(rows, 0, last), np.clip(columns, 0, last)
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    below, right = np.minimum(top + 1, last), np.minimum(left + 1, last)
    down, across = (rows - top)[..., None], (columns - left)[..., None]
    upper = pictures[:, top, left] * (1 - across) + pictures[:, top, right] * across
    lower = pictures[:, below, left] * (1 - across) + pictures[:, below, right] * across
    return (upper * (1 - down) + lower * down).astype(np.float32)


def waved(pictures: Pictures, strength: float) -> Pictures:
    rows, columns = _grid(pictures)
    shift = 2.5 * strength * np.sin(2 * np.pi * rows / 10.5)
    return _displaced(pictures, rows + 0.0, columns + shift)


def tilted(pictures: Pictures, strength: float) -> Pictures:
    rows, columns = _grid(pictures)
    middle = (pictures.shape[1] - 1) / 2
    y, x, angle = rows - middle, columns - middle, 0.6 * strength
    turned_y = y * np.cos(angle) - x * np.sin(angle)
    turned_x = y * np.sin(angle) + x * np.cos(angle)
    return _displaced(pictures, turned_y + middle, turned_x + middle)


def zoomed(pictures: Pictures, strength: float) -> Pictures:
    rows, columns = _grid(pictures)
    middle = (pictures.shape[1] - 1) / 2
    factor = 1 - 0.4 * strength
    return _displaced(
        pictures,
        (rows - middle) * factor + middle,
        (columns - middle) * factor + middle,
    )


# Focus.


def blurred(pictures: Pictures, strength: float) -> Pictures:
    soft = pictures
    for _ in range(round(2 + 4 * strength)):
        soft = _smooth(soft)
    return soft


def _smooth(pictures: Pictures) -> Pictures:
    """One pass of the 1-2-1 filter along both axes."""
    for axis in (1, 2):
        wide = [(0, 0)] * 4
        wide[axis] = (1, 1)
        padded = np.pad(pictures, wide, mode="edge")
        parts = [padded.take(range(i, i + 32), axis=axis) for i in range(3)]
        pictures = 0.25 * parts[0] + 0.5 * parts[1] + 0.25 * parts[2]
    return pictures.astype(np.float32)


def pixelated(pictures: Pictures, strength: float) -> Pictures:
    b, side, _, _ = pictures.shape
    block = 4
    cells = pictures.reshape(b, side // block, block, side // block, block, 3)
    coarse = cells.mean((2, 4)).repeat(block, 1).repeat(block, 2)
    return _blend(pictures, coarse, min(1.0, 0.4 + 0.6 * strength))


# Line.


def _edges(pictures: Pictures) -> Float[np.ndarray, "b side side 1"]:
    """How strongly colours change at each pixel, 0 to 1."""
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    change = np.sqrt((across**2 + down**2).sum(-1, keepdims=True))
    return np.clip((change - 0.25) / 0.7, 0, 1)


def outlined(pictures: Pictures, strength: float) -> Pictures:
    return _blend(pictures, -1.0, strength * _edges(pictures))


def glowing(pictures: Pictures, strength: float) -> Pictures:
    return _blend(pictures, 1.0, strength * _edges(pictures))


def embossed(pictures: Pictures, strength: float) -> Pictures:
    light = _luma(pictures)
    padded = np.pad(light, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    relief = padded[:, 2:, 2:] - padded[:, :-2, :-2]
    return _blend(pictures, np.clip(0.9 * relief, -1, 1), 0.85 * strength)


# Palette.


def _duotone(pictures: Pictures, dark: tuple, light: tuple, strength: float):
    share = (_luma(pictures) + 1) / 2
    toned = np.array(dark) * (1 - share) + np.array(light) * share
    return _blend(pictures, toned, 0.85 * strength)


def sepia(pictures: Pictures, strength: float) -> Pictures:
    return _duotone(pictures, (-0.7, -0.9, -1.0), (1.0, 0.75, 0.25), strength)


def icy(pictures: Pictures, strength: float) -> Pictures:
    return _duotone(pictures, (-0.95, -0.8, -0.2), (0.75, 1.0, 1.0), strength)


def acid(pictures: Pictures, strength: float) -> Pictures:
    return _duotone(pictures, (-0.2, -1.0, 0.1), (0.5, 1.0, -0.6), strength)


def gray(pictures: Pictures, strength: float) -> Pictures:
    return _blend(pictures, _luma(pictures), strength)


def turned(pictures: Pictures, strength: float) -> Pictures:
    """Hues turned by up to 150 degrees around the gray axis."""
    angle = np.deg2rad(150 * strength)
    axis = np.full(3, 1 / np.sqrt(3))
    cross = np.cross(np.eye(3), axis)
    turn = np.eye(3) * np.cos(angle) + np.sin(angle) * cross
    turn += (1 - np.cos(angle)) * np.outer(axis, axis)
    return np.clip(pictures @ turn, -1, 1).astype(np.float32)


# Tone.


def inverted(pictures: Pictures, strength: float) -> Pictures:
    return _blend(pictures, -pictures, 0.5 + 0.5 * strength)


def darkened(pictures: Pictures, strength: float) -> Pictures:
    unit = (pictures + 1) / 2
    return (2 * unit ** (1 + 1.8 * strength) - 1).astype(np.float32)


def faded(pictures: Pictures, strength: float) -> Pictures:
    return (pictures * (1 - 0.6 * strength) + 0.45 * strength).astype(np.float32)


def posterised(pictures: Pictures, strength: float) -> Pictures:
    levels = 2 if strength > 0.6 else 3
    unit = (pictures + 1) / 2
    steps = np.round(unit * (levels - 1)) / (levels - 1)
    return _blend(pictures, 2 * steps - 1, 0.5 + 0.5 * strength)


# Texture.


def _shaded(pictures: Pictures, pattern: np.ndarray, strength: float) -> Pictures:
    """Darkens where `pattern` [side, side] is -1 and lightens where it is 1."""
    shade = 0.55 * strength * pattern[None, :, :, None]
    return np.clip(pictures + shade, -1, 1).astype(np.float32)


def striped(pictures: Pictures, strength: float) -> Pictures:
    rows, _ = _grid(pictures)
    return _shaded(pictures, np.where(rows % 4 < 2, -1.0, 0.6), strength)


def hatched(pictures: Pictures, strength: float) -> Pictures:
    rows, columns = _grid(pictures)
    return _shaded(pictures, np.where((rows + columns) % 5 < 2, -1.0, 0.4), strength)


def checked(pictures: Pictures, strength: float) -> Pictures:
    rows, columns = _grid(pictures)
    odd = (rows // 4 + columns // 4) % 2
    return _shaded(pictures, np.where(odd == 1, -0.8, 0.8), strength)


def dotted(pictures: Pictures, strength: float) -> Pictures:
    rows, columns = _grid(pictures)
    wave = np.cos(2 * np.pi * rows / 4) + np.cos(2 * np.pi * columns / 4)
    return _shaded(pictures, np.where(wave > 0.7, 1.0, -0.35), strength)


def grainy(pictures: Pictures, strength: float) -> Pictures:
    """Grain that differs from picture to picture, shifted by the picture's content."""
    table = np.random.default_rng(7).normal(size=(64, 64)).astype(np.float32)
    # Whole numbers, so that the order of summation leaves the shift alone.
    keys = np.round(pictures * 127).astype(int).sum((1, 2, 3)) * 1009
    grain = np.stack([np.roll(table, (k % 64, k // 64 % 64), (0, 1)) for k in keys])
    side = pictures.shape[1]
    noisy = pictures + 0.4 * strength * grain[:, :side, :side, None]
    return np.clip(noisy, -1, 1).astype(np.float32)


# Light: what lies on top of everything.


def _veiled(pictures: Pictures, cover: np.ndarray, colour: tuple) -> Pictures:
    return _blend(pictures, np.array(colour, np.float32), cover[None, :, :, None])


def vignetted(pictures: Pictures, strength: float) -> Pictures:
    rows, columns = _grid(pictures)
    radius = np.hypot(rows - 15.5, columns - 15.5) / 15.5
    return _veiled(pictures, strength * np.clip(radius - 0.5, 0, 1), (-1, -1, -1))


def framed(pictures: Pictures, strength: float) -> Pictures:
    rows, columns = _grid(pictures)
    border = np.minimum.reduce([rows, columns, 31 - rows, 31 - columns])
    cover = np.where(border < 3, 0.4 + 0.6 * strength, 0.0)
    return _veiled(pictures, cover, (0.95, 0.9, 0.8))


def sunlit(pictures: Pictures, strength: float) -> Pictures:
    rows, columns = _grid(pictures)
    cover = 0.9 * strength * np.clip(1 - (rows + columns) / 40, 0, 1)
    return _veiled(pictures, cover, (1.0, 0.85, 0.2))


FAMILIES: dict[str, tuple[Callable[[Pictures, float], Pictures], ...]] = {
    "geometry": (waved, tilted, zoomed),
    "focus": (blurred, pixelated),
    "line": (outlined, glowing, embossed),
    "palette": (sepia, icy, acid, gray, turned),
    "tone": (inverted, darkened, faded, posterised),
    "texture": (striped, hatched, checked, dotted, grainy),
    "light": (vignetted, framed, sunlit),
}
ATTRIBUTES = {
    attribute.__name__: attribute
    for family in FAMILIES.values()
    for attribute in family
}
