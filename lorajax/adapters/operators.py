"""Operators: changes that are known only together with the weight they act on.

A rotation or a scaling of channels is no ΔW: what it adds to a weight is made of that
weight. Without the base model there is nothing to compare, so files of operators are
listed without a vector; with it, `lorajax.adapters.base_weights` makes updates of them.
"""

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Float


class Operator(ABC):
    """What one module's weight goes through."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Channels that one block mixes: of a rotation its side, of a scaling 1."""

    @abstractmethod
    def delta_weight(
        self, weight: Float[np.ndarray, "out in_ *kernel"]
    ) -> Float[np.ndarray, "out in_ *kernel"]:
        """ΔW = W′ − W for the base weight W.

        Raises:
          AdapterError: for a weight of another shape than the operator acts on.
        """

    @abstractmethod
    def is_identity(self) -> bool:
        """Whether it leaves every weight as it is."""
