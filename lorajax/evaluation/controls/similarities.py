"""All controls between some LoRAs of a collection, for one split and one seed."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from lorajax.adapters.adapter import Adapter
from lorajax.evaluation.controls.factors import W2WFitting, mbc_similarity
from lorajax.evaluation.controls.kernels import cosines_of, mean_products
from lorajax.evaluation.controls.prepared import PreparedControls, prepare_controls
from lorajax.evaluation.controls.rows import (
    CONTROLS,
    DSIRE,
    MBC,
    MEAN,
    RANDOM,
    STATISTICS,
    UNLEARNED,
    W2W,
)
from lorajax.evaluation.controls.spectra import dsire_similarity, statistics_similarity

RANDOM_WIDTH = 64


def control_similarities(
    adapters: Sequence[Adapter],
    train: Int[np.ndarray, " t"],
    wanted: Int[np.ndarray, " w"],
    seed: int,
) -> dict[str, Float[np.ndarray, "w w"]]:
    """All controls of one split; `prepare_controls` serves several of a collection.

    Args:
      adapters: LoRAs of one base model, which may lie on disk.
      train: places of those to fit on.
      wanted: places of those to compare.
      seed: of what is random.
    """
    return similarities_of(prepare_controls(adapters), train, wanted, seed)


def similarities_of(
    prepared: PreparedControls,
    train: Int[np.ndarray, " t"],
    wanted: Int[np.ndarray, " w"],
    seed: int,
) -> dict[str, Float[np.ndarray, "w w"]]:
    """The same of a collection made ready, in the order of `CONTROLS`."""
    kernels, chosen = prepared.kernels, np.ix_(wanted, wanted)
    found = {name: cosines_of(kernels[name][chosen]) for name in UNLEARNED}
    found[RANDOM] = _random(len(prepared.plain), wanted, seed)
    found[STATISTICS] = statistics_similarity(prepared.statistics, train, wanted)
    found[MBC] = mbc_similarity(kernels[MBC], train, wanted)
    found[DSIRE] = dsire_similarity(prepared.spectra, train, wanted)
    found |= _by_module(prepared, train, wanted)
    return {name: found[name] for name in CONTROLS}


def _by_module(
    prepared: PreparedControls,
    train: Int[np.ndarray, " t"],
    wanted: Int[np.ndarray, " w"],
) -> dict[str, Float[np.ndarray, "w w"]]:
    """w2w_factors and mean_only, in one go through the updates."""
    fitting = W2WFitting(prepared.plain, train, wanted)
    along_mean = np.zeros((len(wanted), len(prepared.modules)))
    for n, updates in enumerate(prepared.modules):
        fitting.add_module(updates)
        along_mean[:, n] = mean_products(
            [updates[int(i)] for i in wanted], [updates[int(i)] for i in train]
        )
    return {W2W: fitting.similarity(), MEAN: cosines_of(along_mean @ along_mean.T)}


def _random(
    count: int, wanted: Int[np.ndarray, " w"], seed: int
) -> Float[np.ndarray, "w w"]:
    """Cosines of vectors that each place of the collection has, whatever is wanted."""
    rows = np.random.default_rng([seed, 7]).standard_normal((count, RANDOM_WIDTH))
    return cosines_of(rows[wanted] @ rows[wanted].T)
