"""A fitted basis: what turns any LoRA of one base model into features.

A basis is plain arrays and facts, saved as `basis.safetensors` and named by the hash of
its contents; an encoder belongs to exactly one basis.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from blake3 import blake3
from jaxtyping import Float

from lorajax.adapters.adapter import Adapter
from lorajax.errors import ProjectionError
from lorajax.projection.features import Features


@dataclass(frozen=True)
class BasisFacts:
    """What a basis is for.

    Attributes:
      kind: the projection that fitted it.
      base_model: whose modules it knows.
      width: width of the features; modules with fewer components are zero-padded.
      modules: canonical names, in the order of the features.
      fitted_on: training LoRAs that have each module.
    """

    kind: str
    base_model: str
    width: int
    modules: tuple[str, ...]
    fitted_on: tuple[int, ...]


class Basis(ABC):
    """A fitted per-module PCA; `kind`s differ in how they see an update."""

    facts: BasisFacts

    @abstractmethod
    def module_scores(self, adapter: Adapter, n: int) -> Float[np.ndarray, " k"]:
        """Scores of the live module at place `n`, without padding."""

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that `from_arrays` needs to rebuild the basis."""

    @property
    @abstractmethod
    def explained_variance_ratio(self) -> tuple[Float[np.ndarray, " k"], ...]:
        """Per module, the share of training variance of each of its components."""

    @property
    def components(self) -> tuple[int, ...]:
        """Components of each module: min(width, its rank, its training LoRAs − 1)."""
        return tuple(len(ratio) for ratio in self.explained_variance_ratio)

    def transform(self, adapter: Adapter) -> Features:
        """The features `[1, n, k]` of one LoRA.

        Raises:
          ProjectionError: for a LoRA of another base model, or one without a single
            live module that the basis knows.
        """
        facts = self.facts
        if adapter.base_model != facts.base_model:
            raise ProjectionError(
                f"{adapter.name}: expected a LoRA of {facts.base_model}, "
                f"found one of {adapter.base_model}",
                "use a bundle of its base model, or none for the base space",
            )
        scores = np.zeros((1, len(facts.modules), facts.width), "f4")
        mask = np.array([[module in adapter.updates for module in facts.modules]])
        if not mask.any():
            raise ProjectionError(
                f"{adapter.name}: none of its {len(adapter.updates)} live modules is "
                f"among the {len(facts.modules)} that this basis was fitted on",
                "index it without --model, in the base space",
            )
        for n in np.flatnonzero(mask[0]):
            row = self.module_scores(adapter, int(n))
            scores[0, n, : len(row)] = row
        return Features(scores, mask)

    def hash(self) -> str:
        """A hash of facts and arrays; equal bases have equal hashes."""
        return contents_hash(self.arrays(), asdict(self.facts))


def contents_hash(arrays: Mapping[str, np.ndarray], facts: object) -> str:
    """BLAKE3 over facts and arrays in a fixed order, independent of any file layout."""
    digest = blake3(repr(facts).encode("utf-8"))
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}:{array.dtype}:{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
