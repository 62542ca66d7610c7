"""Libraries of made-up LoRAs with vectors, labels and fingerprints for tests."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lorajax.library import Facts, FileStamp, Library, Place, Told, base_space

BASE = "sd1"
SPACE = base_space(BASE)


def fingerprint_text(seed: int, nudge: int = 0, strength: int = 0x7000) -> str:
    """A fingerprint in its written form: of a direction that `seed` draws."""
    codes = np.random.default_rng([seed, 9]).integers(600, 3400, 16) + nudge
    return f"{strength:04x}-{''.join(f'{code:03x}' for code in codes)}"


def add(
    library: Library,
    name: str,
    vector: Sequence[float] | np.ndarray,
    tags: Sequence[str] = (),
    fingerprint: str = "",
    told: Told | None = None,
    folder: str = "/loras",
) -> str:
    """Stores a LoRA whose content key is its name."""
    facts = Facts(name, BASE, tags=tuple(tags), fingerprint=fingerprint)
    path = Path(folder) / f"{name}.safetensors"
    place = Place(path, FileStamp(1, 1, 1), "", told or Told())
    library.upsert(name, facts, place, {SPACE: np.asarray(vector, np.float32)})
    library.set_current_space(BASE, SPACE)
    return name


def bunches(
    count: int, size: int, spread: float, width: int = 12, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around random directions, and which of them each is of."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(rng.normal(size=(count, width)), size, axis=0)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    points = centres + spread * rng.normal(size=centres.shape)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float32), np.repeat(np.arange(count), size)
