"""What a picture looks like, in numbers: blocks of colour, layout and texture measures.

Nothing here knows captions, tags or weights, so likeness of pictures is a witness that
is independent of them. Every block is computed for a whole strip of pictures at once.
"""

from collections.abc import Callable
from itertools import product

import numpy as np
from jaxtyping import Float, Int

SIDE = 32
Pictures = Float[np.ndarray, "c side side 3"]
Planes = Float[np.ndarray, "c 3 side side"]
Values = Float[np.ndarray, "c _"]

CELLS = 4
SCALES = (1, 2, 4)
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
# In waves across the picture; every ring has frequencies in every sector.
RING_EDGES = (0.5, 1.5, 2.5, 4.0, 6.0, 8.5, 12.0, 23.0)
SECTORS = 4
GRADIENT_EDGES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
# Energies below one grey level of 255 are nothing that anybody sees.
FAINT = (1 / 255) ** 2


def describe(pictures: Pictures) -> Float[np.ndarray, "c d"]:
    """All blocks side by side, in the order of `BLOCKS`.

    Args:
      pictures: colours in [0, 1], 32 x 32 pixels.
    """
    planes = opponent(pictures)
    values = [block(planes) for block in BLOCKS.values()]
    return np.concatenate(values, axis=1).astype(np.float32)


def block_sizes() -> tuple[int, ...]:
    """How many numbers each block of a description has."""
    blank = opponent(np.zeros((1, SIDE, SIDE, 3), np.float32))
    return tuple(block(blank).shape[1] for block in BLOCKS.values())


def opponent(pictures: Pictures) -> Planes:
    """Luma, red against green, and yellow against blue, a plane each."""
    red, green, blue = np.moveaxis(pictures.astype(np.float32), -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.stack([luma, red - green, (red + green) / 2 - blue], axis=1)


def colour_moments(planes: Planes) -> Values:
    """Mean, spread and skew of every plane, and the planes' correlations."""
    flat = planes.reshape(len(planes), 3, -1)
    mean = flat.mean(2, keepdims=True)
    centred = flat - mean
    spread = np.sqrt(np.einsum("cip,cip->ci", centred, centred) / flat.shape[2])
    # The floor keeps planes of one flat colour from having noise as their shape.
    unit = centred / (spread + np.sqrt(FAINT))[..., None]
    products = unit @ unit.transpose(0, 2, 1) / flat.shape[2]
    skew = np.cbrt(np.einsum("cip,cip,cip->ci", unit, unit, unit) / flat.shape[2])
    pairs = products[:, [0, 0, 1], [1, 2, 2]]
    return np.concatenate([mean[..., 0], spread, skew, pairs], axis=1)


def colour_layout(planes: Planes) -> Values:
    """Mean colour of each cell of a 4 x 4 grid."""
    count, step = len(planes), planes.shape[2] // CELLS
    cells = planes.reshape(count, 3, CELLS, step, CELLS, step).mean((3, 5))
    return cells.reshape(count, -1)


def texture(planes: Planes) -> Values:
    """Log energy of differences in four directions at three scales, luma and chroma."""
    energies = []
    for scale, (down, across) in product(SCALES, DIRECTIONS):
        change = _differences(planes, scale * down, scale * across)
        energy = np.einsum("cihw,cihw->ci", change, change) / change[0, 0].size
        energies += [energy[:, :1], energy[:, 1:].sum(1, keepdims=True)]
    return np.log(np.concatenate(energies, axis=1) + FAINT)


def spectrum(planes: Planes) -> Values:
    """Log power of luma by how fine (rings) and which way (sectors) it waves."""
    luma = planes[:, 0]
    side = luma.shape[1]
    window = np.hanning(side + 2)[1:-1]  # borders do not wrap: no cross in the spectrum
    level = luma - luma.mean((1, 2), keepdims=True)
    power = np.abs(np.fft.fft2(level * np.outer(window, window))) ** 2 / side**2
    place, parts = _polar(side), (len(RING_EDGES) - 1) * SECTORS
    sums = np.stack([np.bincount(place, p.ravel(), parts + 1)[:parts] for p in power])
    return np.log(sums / np.bincount(place, minlength=parts + 1)[:parts] + FAINT)


def gradients(planes: Planes) -> Values:
    """Shares of pixels whose luma changes by less than each edge."""
    luma = planes[:, 0]
    down, across = np.diff(luma, axis=1)[:, :, :-1], np.diff(luma, axis=2)[:, :-1]
    size = np.hypot(down, across).reshape(len(planes), -1)
    return np.stack([(size < edge).mean(1) for edge in GRADIENT_EDGES], axis=1)


def luma_quantiles(planes: Planes) -> Values:
    """Quantiles of luma, dark to light."""
    flat = planes[:, 0].reshape(len(planes), -1)
    return np.quantile(flat, QUANTILES, axis=1).T


def _differences(
    planes: Planes, down: int, across: int
) -> Float[np.ndarray, "c 3 h w"]:
    """Differences of pixels that lie `down` and `across` from each other."""
    side = planes.shape[2]
    left, right = max(0, -across), max(0, across)
    here = planes[:, :, : side - down, left : side - right]
    return planes[:, :, down:, right : side - left] - here


def _polar(side: int) -> Int[np.ndarray, " frequencies"]:
    """Ring and sector of every frequency as one number; the last is the constant."""
    waves = np.fft.fftfreq(side) * side
    y, x = np.meshgrid(waves, waves, indexing="ij")
    ring = np.searchsorted(RING_EDGES, np.hypot(x, y)) - 1
    # Sectors are centred on the axes and diagonals.
    sector = np.round(np.arctan2(y, x) % np.pi / np.pi * SECTORS).astype(int) % SECTORS
    parts = (len(RING_EDGES) - 1) * SECTORS
    return np.where(ring < 0, parts, ring * SECTORS + sector).ravel()


BLOCKS: dict[str, Callable[[Planes], Values]] = {
    "colour_moments": colour_moments,
    "colour_layout": colour_layout,
    "texture": texture,
    "spectrum": spectrum,
    "gradients": gradients,
    "luma_quantiles": luma_quantiles,
}
