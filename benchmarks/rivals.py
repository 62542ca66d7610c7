"""What features are measured against, each written the ordinary way.

References:
  W2T (arXiv 2603.15990), whose first step is `canonical_factors`: QR of both factors
  and an SVD of the small core, one sign per component.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from blake3 import blake3
from safetensors import safe_open
from sklearn.decomposition import IncrementalPCA

from benchmarks.lora_files import Kind, modules

PAPER_COMPONENTS = 256


def read_bytes(path: Path) -> int:
    """The whole file as bytes, as anyone would read it."""
    return len(path.read_bytes())


def read_into(path: Path, buffer: bytearray) -> int:
    """The whole file into memory that is there already: no page is newly made."""
    with open(path, "rb", buffering=0) as file:
        return file.readinto(buffer)


def hash_bytes(data: bytes) -> bytes:
    """BLAKE3 of bytes in memory, on one thread."""
    return blake3(data).digest()


def canonical_factors(
    path: Path, kind: Kind
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """U, the singular values and V of every module's up @ down, in float32."""
    found = []
    for up, down in read_factors(path, [name for name, _ in modules(kind)]):
        q_up, r_up = np.linalg.qr(up)
        q_down, r_down = np.linalg.qr(down.T)
        left, singular, right = np.linalg.svd(r_up @ r_down.T)
        u, v = q_up @ left, q_down @ right.T
        largest = np.abs(u).argmax(0)
        signs = np.sign(u[largest, np.arange(u.shape[1])])
        found.append((u * signs, singular, v * signs))
    return found


def read_factors(
    path: Path, names: list[str]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`up` [out, rank] and `down` [rank, in] with safetensors' reader, in float32."""
    with safe_open(path, framework="numpy") as file:
        for name in names:
            up = file.get_tensor(f"{name}.lora_up.weight").astype("f4")
            down = file.get_tensor(f"{name}.lora_down.weight").astype("f4")
            yield up.reshape(len(up), -1), down.reshape(len(down), -1)


@dataclass(frozen=True)
class PaperRoute:
    """Materialise ΔW, flatten it, `IncrementalPCA.transform` with 256 components.

    The components of all modules together fit into no ordinary memory, so the route is
    taken for one module of every size whose components are within a bound, one after
    the other. Their components are the same drawn numbers seen in different shapes:
    the time of a product does not depend on its values.

    Attributes:
      chosen: name of a module in the file → number of entries of its ΔW.
      scale: entries of all modules together, by those of the chosen ones.
      numbers: memory for the components and the mean of the largest chosen module.
    """

    chosen: dict[str, int]
    scale: float
    numbers: np.ndarray

    @classmethod
    def within(cls, kind: Kind, bound: int) -> "PaperRoute":
        """The route over the modules whose components take at most `bound` bytes."""
        entries = {name: math.prod(shape) for name, shape in modules(kind)}
        shapes = dict(modules(kind))
        by_shape = {shapes[name]: name for name in entries}
        chosen = {
            name: entries[name]
            for name in by_shape.values()
            if paper_module_bytes(entries[name]) <= bound
        }
        largest = max(chosen.values())
        numbers = np.empty((PAPER_COMPONENTS + 1) * largest, "f4")
        drawn = np.random.default_rng(0).standard_normal(2**20, "f4")
        for start in range(0, len(numbers), len(drawn)):
            part = numbers[start : start + len(drawn)]
            part[:] = drawn[: len(part)]
        return cls(chosen, sum(entries.values()) / sum(chosen.values()), numbers)

    def scores(self, path: Path) -> list[np.ndarray]:
        """The scores of the chosen modules of a file."""
        pairs = read_factors(path, list(self.chosen))
        found = []
        for (up, down), entries in zip(pairs, self.chosen.values(), strict=True):
            flat = (up @ down).reshape(1, -1)
            found.append(self._fitted(entries).transform(flat))
        return found

    def _fitted(self, entries: int) -> IncrementalPCA:
        """A PCA as `fit` leaves it."""
        split = PAPER_COMPONENTS * entries
        pca = IncrementalPCA(n_components=PAPER_COMPONENTS)
        vars(pca).update(
            components_=self.numbers[:split].reshape(PAPER_COMPONENTS, entries),
            mean_=self.numbers[split : split + entries],
            n_components_=PAPER_COMPONENTS,
            n_features_in_=entries,
        )
        return pca


def paper_module_bytes(entries: int) -> int:
    """Components, mean and ΔW of one module in float32."""
    return (PAPER_COMPONENTS + 2) * entries * 4


def paper_bytes(kind: Kind) -> int:
    """The same for all modules of a file: what the paper's route has to hold."""
    return sum(paper_module_bytes(math.prod(shape)) for _, shape in modules(kind))
