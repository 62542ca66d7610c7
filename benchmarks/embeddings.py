"""Vectors to measure searching on: embeddings of a real run, and many more like them.

    python -m benchmarks.embeddings RUN

writes `benchmarks/embeddings.npz`: the LoRAs that a run of `configs/base.yaml` on the
bench collection held out (`docs/results.md`), as its exported encoder sees them, and
their styles. The encoder has never seen one of these styles.

`resampled` draws as many as are wanted: an embedding of the file, plus noise with the
covariance that LoRAs of one style have around their mean, brought back to length one.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

OUT = Path(__file__).parent / "embeddings.npz"
QUERY_EVERY = 5
Draw = Callable[[np.random.Generator, int], np.ndarray]


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of LoRAs that no training saw, one row each, with their styles."""

    vectors: np.ndarray  # [n, e]
    styles: np.ndarray  # [n]

    @property
    def width(self) -> int:
        return self.vectors.shape[1]

    def noise(self) -> np.ndarray:
        """A root `[e, e]` of the covariance within styles: `g @ noise` has it."""
        _, which = np.unique(self.styles, return_inverse=True)
        counts = np.bincount(which)
        means = np.zeros((len(counts), self.width))
        np.add.at(means, which, self.vectors)
        centred = self.vectors - (means / counts[:, None])[which]
        covariance = centred.T @ centred / (len(which) - len(counts))
        values, directions = np.linalg.eigh(covariance)
        root = np.sqrt(np.maximum(values, 0))[:, None] * directions.T
        return root.astype(np.float32)


def read_embeddings() -> Embeddings:
    """The embeddings of this folder, in float32."""
    with np.load(OUT) as held:
        return Embeddings(held["vectors"].astype(np.float32), held["styles"])


def resampled(embeddings: Embeddings, queries: bool) -> Draw:
    """Draws unit rows around embeddings; those for queries are never in the library."""
    root = embeddings.noise()
    held_out = np.arange(len(embeddings.vectors)) % QUERY_EVERY == 0
    centres = embeddings.vectors[held_out == queries]

    def draw(rng: np.random.Generator, count: int) -> np.ndarray:
        chosen = rng.integers(0, len(centres), count)
        noise = rng.standard_normal((count, len(root)), np.float32) @ root
        return _unit(centres[chosen] + noise)

    return draw


def independent(width: int) -> Draw:
    """Draws unit rows that know nothing of each other: the hardest to search."""
    return lambda rng, count: _unit(rng.standard_normal((count, width), np.float32))


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def main() -> None:
    from lorajax.config import load_job
    from lorajax.export.bundle import read_results
    from lorajax.export.model import load_model
    from lorajax.reporting.gallery import look_at, read_members
    from lorajax.service.compute import cache_dir

    run = Path(sys.argv[1])
    model = load_model(run)
    folder = load_job(run / "config.yaml").collection.path
    members = read_members(run, Path(str(folder)), read_results(run)["held_out"])
    seeing, caches = (model.basis, model.encoder), cache_dir() / "features"
    gallery, _ = look_at(run.name, run, members, True, seeing, caches)
    vectors = np.asarray(gallery.vectors, np.float16)
    np.savez_compressed(OUT, vectors=vectors, styles=np.array(gallery.styles))
    print(f"{OUT}: {len(vectors)} embeddings of width {vectors.shape[1]}")


if __name__ == "__main__":
    main()
