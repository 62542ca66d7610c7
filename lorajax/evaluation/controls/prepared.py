"""What controls need of a collection whatever the split, computed once.

It grows with the square of the number of LoRAs: five matrices of them in double
precision, and the singular values of every module.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from lorajax.adapters.adapter import Adapter
from lorajax.evaluation.controls.factors import (
    has_plain_factors,
    magnitude_to_pass,
    sparse_products,
)
from lorajax.evaluation.controls.reading import ByModule, by_module
from lorajax.evaluation.controls.rows import MBC, SPECTRUM
from lorajax.evaluation.controls.spectra import Spectra, factor_spectra, statistics
from lorajax.evaluation.controls.unlearned import (
    Kernels,
    add_module,
    no_kernels,
    parts_of,
)

OnStage = Callable[[str, int, int], None]


@dataclass(frozen=True)
class PreparedControls:
    """A collection made ready, so that any split of it is cheap.

    Attributes:
      modules: the updates, for what depends on the split.
      kernels: inner products of all LoRAs: norms, spectra, A, sparse factors and ΔW.
      spectra: singular values of A, B and ΔW of every module.
      statistics: 20 numbers of the spectra of ΔW.
      plain: which LoRAs have raw factors.
    """

    modules: ByModule
    kernels: Kernels
    spectra: tuple[Spectra, ...]
    statistics: Float[np.ndarray, "b 20"]
    plain: Bool[np.ndarray, " b"]


def prepare_controls(
    adapters: Sequence[Adapter],
    on_progress: OnStage = lambda stage, done, total: None,
) -> PreparedControls:
    """Reads a collection of one base model, once where its factors fit in memory.

    Args:
      on_progress: called with what is being done, how much of it, and of how much.
    """
    plain = np.zeros(len(adapters), bool)
    limits = np.zeros(len(adapters))

    def look(place: int, adapter: Adapter) -> None:
        plain[place] = has_plain_factors(adapter)
        limits[place] = magnitude_to_pass(adapter)

    modules = by_module(
        adapters, look, lambda done, total: on_progress("reading LoRAs", done, total)
    )
    kernels = no_kernels(len(adapters)) | {MBC: np.zeros((len(adapters),) * 2)}
    deltas: list[Spectra] = []
    factors: list[Spectra] = []
    for updates in modules:
        parts = parts_of(updates)
        add_module(kernels, updates, parts)
        kernels[MBC] += sparse_products(updates, limits)
        deltas.append(parts[SPECTRUM])
        factors += factor_spectra(updates)
        on_progress("comparing modules", len(deltas), len(modules))
    spectra = (*deltas, *factors)
    return PreparedControls(modules, kernels, spectra, statistics(deltas), plain)
