"""A fitted basis: what turns any LoRA of one base model into features.

A basis is plain arrays and facts, saved as `basis.safetensors` and named by the hash of
its contents; an encoder belongs to exactly one basis.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from blake3 import blake3
from jaxtyping import Float, Int

from lorajax.adapters.adapter import Adapter, check_numbers, check_vector
from lorajax.config.features import Scaling
from lorajax.errors import ProjectionError
from lorajax.projection.features import Features


@dataclass(frozen=True)
class BasisFacts:
    """What a basis is for.

    Attributes:
      kind: the projection that fitted it.
      base_model: whose modules it knows.
      width: width of the features; modules with fewer components are zero-padded.
      scale: what updates are divided by, as `features.scale`.
      modules: canonical names, in the order of the features.
      fitted_on: training LoRAs that have each module.
    """

    kind: str
    base_model: str
    width: int
    scale: Scaling
    modules: tuple[str, ...]
    fitted_on: tuple[int, ...]

    @cached_property
    def places(self) -> dict[str, int]:
        """Module → its place in the features."""
        return {module: n for n, module in enumerate(self.modules)}


class Basis(ABC):
    """A fitted per-module PCA; `kind`s differ in how they see an update."""

    facts: BasisFacts

    @abstractmethod
    def live_scores(
        self, adapter: Adapter, places: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, "m k"]:
        """Scores of the live modules at these places, zero-padded to the width."""

    @abstractmethod
    def energies(
        self, adapter: Adapter, places: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, " m"]:
        """‖update − mean‖² of the live modules at these places, all of it."""

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
          ProjectionError: for a LoRA of another base model, one without a single live
            module that the basis knows, or numbers too large to compute with.
          AdapterError: for a file that holds NaN or Inf, naming the tensor, and for an
            operator, which has no update.
        """
        check_vector(adapter)
        facts = self.facts
        places = self._live(adapter)
        scores = np.zeros((1, len(facts.modules), facts.width), "f4")
        mask = np.zeros((1, len(facts.modules)), bool)
        mask[0, places] = True
        with np.errstate(all="ignore"):
            scores[0, places] = self.live_scores(adapter, places)
        if not np.isfinite(scores).all():
            check_numbers(adapter)
            raise ProjectionError(
                f"{adapter.name}: expected scores that are numbers, found NaN or Inf",
                "its updates are too large: the training diverged",
            )
        return Features(scores, mask)

    def held_out_energy(self, adapters: Iterable[Adapter]) -> Float[np.ndarray, " n"]:
        """Per module, the share of these LoRAs' energy that the components hold.

        Σ ‖scores‖² / Σ ‖update − mean‖² over LoRAs that should not be those it was
        fitted on; NaN for a module that none of them has.
        """
        kept, whole = np.zeros((2, len(self.facts.modules)))
        for adapter in adapters:
            places = self._live(adapter)
            scores = self.live_scores(adapter, places).astype("f8")
            kept[places] += (scores**2).sum(1)
            whole[places] += self.energies(adapter, places)
        known = whole > 0
        return np.where(known, kept / np.where(known, whole, 1.0), np.nan)

    def hash(self) -> str:
        """A hash of facts and arrays; equal bases have equal hashes."""
        return contents_hash(self.arrays(), asdict(self.facts))

    def _live(self, adapter: Adapter) -> Int[np.ndarray, " m"]:
        """The places of the LoRA's live modules, of which there must be one."""
        facts = self.facts
        if adapter.base_model != facts.base_model:
            raise ProjectionError(
                f"{adapter.name}: expected a LoRA of {facts.base_model}, "
                f"found one of {adapter.base_model}",
                "use a bundle of its base model, or none for the base space",
            )
        live = sorted(facts.places[m] for m in adapter.updates if m in facts.places)
        if not live:
            raise ProjectionError(
                f"{adapter.name}: none of its {len(adapter.updates)} live modules is "
                f"among the {len(facts.modules)} that this basis was fitted on",
                "index it without --model, in the base space",
            )
        return np.array(live, np.int64)


def contents_hash(arrays: Mapping[str, np.ndarray], facts: object) -> str:
    """BLAKE3 over facts and arrays in a fixed order, independent of any file layout."""
    digest = blake3(repr(facts).encode("utf-8"))
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}:{array.dtype}:{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
