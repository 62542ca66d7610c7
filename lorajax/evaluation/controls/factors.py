"""Controls on raw factors: w2w_factors and mbc_svd64.

Factors are far longer than LoRAs are many, so that both components come from inner
products, which is exact: with K = XXᵀ = UΛUᵀ of the training LoRAs, x has the scores
x Xᵀ U Λ^(−1/2) (Sirovich 1987). Those of mbc_svd64 depend on each LoRA alone and serve
every split. Those of w2w_factors do not, since z-scores depend on the training LoRAs.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.interface import Update
from lorajax.adapters.low_rank import LowRankUpdate
from lorajax.config.features import FeatureSettings
from lorajax.evaluation.controls.kernels import (
    cosines_of,
    factor_blocks,
    inner_products,
)
from lorajax.projection.pca import fit_dual_pca

W2W_COMPONENTS, MBC_COMPONENTS = 100, 64
ZEROED = 0.8
# A spread below this share of the mean is rounding: such a number is constant.
CONSTANT = 1e-6


def has_plain_factors(adapter: Adapter) -> bool:
    """Whether raw factors of any module can be read."""
    return any(isinstance(u, LowRankUpdate) for u in adapter.updates.values())


def magnitude_to_pass(adapter: Adapter) -> float:
    """The largest magnitude among the smallest 80 % of a LoRA's factor numbers."""
    plain = (u for u in adapter.updates.values() if isinstance(u, LowRankUpdate))
    numbers = [np.abs(half).ravel() for u in plain for half in u.factors()]
    zeroed = int(ZEROED * sum(map(len, numbers)))
    if not zeroed:
        return 0.0
    return float(np.partition(np.concatenate(numbers), zeroed - 1)[zeroed - 1])


def sparse_products(
    updates: Sequence[Update | None], limits: Float[np.ndarray, " b"]
) -> Float[np.ndarray, "b b"]:
    """Inner products of one module's factors, what does not pass its limit being 0."""
    total = np.zeros((len(updates),) * 2)
    for block in factor_blocks(updates):
        block[np.abs(block) <= limits[:, None]] = 0.0
        total += inner_products(block)
    return total


def mbc_similarity(
    kernel: Float[np.ndarray, "b b"],
    train: Int[np.ndarray, " t"],
    wanted: Int[np.ndarray, " w"],
) -> Float[np.ndarray, "w w"]:
    """Cosines in the singular vectors of the training LoRAs that have factors."""
    fitted = train[np.diag(kernel)[train] > 0]
    settings = FeatureSettings(components=MBC_COMPONENTS, centre=False)
    within, across = (kernel[np.ix_(rows, fitted)] for rows in (fitted, wanted))
    return _similarity(within, across, settings)


class W2WFitting:
    """w2w_factors, built up while modules come one by one."""

    def __init__(
        self,
        plain: Bool[np.ndarray, " b"],
        train: Int[np.ndarray, " t"],
        wanted: Int[np.ndarray, " w"],
    ) -> None:
        self.fitted = train[plain[train]]
        self.plain = plain[wanted]
        self.rows = np.concatenate([self.fitted, wanted])
        self.products = np.zeros((len(self.rows), len(self.fitted)))

    def add_module(self, updates: Sequence[Update | None]) -> None:
        """Adds the inner products of one module's z-scored factors."""
        count = len(self.fitted)
        if not count:
            return
        for block in factor_blocks([updates[int(i)] for i in self.rows]):
            scores = z_scored(block, count)
            self.products += scores @ scores[:count].T

    def similarity(self) -> Float[np.ndarray, "w w"]:
        """When all modules have been added."""
        within, across = np.split(self.products, [len(self.fitted)])
        settings = FeatureSettings(components=W2W_COMPONENTS)
        similarity = _similarity(within, across, settings)
        return np.where(self.plain[:, None] & self.plain[None, :], similarity, 0.0)


def z_scored(values: Float[np.ndarray, "b d"], fitted: int) -> Float[np.ndarray, "b d"]:
    """By mean and deviation of the first rows; what is constant there becomes 0."""
    if not fitted:
        return np.zeros_like(values)
    mean, spread = values[:fitted].mean(0), values[:fitted].std(0)
    varies = spread > CONSTANT * np.abs(mean)
    return np.where(varies, (values - mean) / np.where(varies, spread, 1.0), 0.0)


def _similarity(
    within: Float[np.ndarray, "t t"],
    across: Float[np.ndarray, "w t"],
    settings: FeatureSettings,
) -> Float[np.ndarray, "w w"]:
    """Cosines of scores, from inner products with the training LoRAs."""
    pca = fit_dual_pca(within, settings) if len(within) > 1 else None
    if pca is None:
        return np.zeros((len(across),) * 2)
    scores = pca.transform(across)
    return cosines_of(scores @ scores.T)
