"""Principal components from inner products alone (dual PCA).

With the centred Gram matrix K = UΛUᵀ the scores of the training points are U√Λ, and
component c is Σ_i α_ic x_i with α = U/√Λ. A new point's score is αᵀ(k − r), where k
holds its inner products with the training points and r the row means of their Gram
matrix; the remaining centring terms vanish because every column of α sums to zero.
References: Sirovich 1987; Schölkopf, Smola and Müller 1998.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

# Eigenvalues below this share of the largest are numerical dust, not components.
RANK_TOLERANCE = 1e-10


@dataclass(frozen=True)
class DualPCA:
    """Principal components of `b` training points, held as weights of those points.

    Attributes:
      alpha: weights of the training points in each component.
      row_mean: row means of the training Gram matrix.
      explained_variance: variance of each component's scores, divided by b − 1.
      total_variance: variance of the training points in all directions.
    """

    alpha: Float[np.ndarray, "b k"]
    row_mean: Float[np.ndarray, " b"]
    explained_variance: Float[np.ndarray, " k"]
    total_variance: float

    @property
    def explained_variance_ratio(self) -> Float[np.ndarray, " k"]:
        total = self.total_variance if self.total_variance > 0 else 1.0
        return self.explained_variance / total

    def transform(self, products: Float[np.ndarray, "q b"]) -> np.ndarray:
        """Scores `[q, k]` of points from their inner products with the training."""
        return (products - self.row_mean) @ self.alpha


def fit_dual_pca(gram: Float[np.ndarray, "b b"], components: int) -> DualPCA:
    """Fits at most `components` components; fewer where the data has fewer.

    Args:
      gram: inner products of the training points, not centred.
      components: the upper bound; the result has
        min(components, b − 1, rank of the centred points).
    """
    row_mean = gram.mean(1)
    centred = gram - row_mean[:, None] - row_mean[None, :] + row_mean.mean()
    values, vectors = np.linalg.eigh((centred + centred.T) / 2)
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = values > max(values[0], 0.0) * RANK_TOLERANCE
    count = min(components, len(gram) - 1, int(kept.sum()))
    values, vectors = values[:count], _with_fixed_signs(vectors[:, :count])
    return DualPCA(
        alpha=vectors / np.sqrt(values),
        row_mean=row_mean,
        explained_variance=values / max(len(gram) - 1, 1),
        total_variance=float(np.trace(centred)) / max(len(gram) - 1, 1),
    )


def _with_fixed_signs(vectors: Float[np.ndarray, "b k"]) -> np.ndarray:
    """Eigenvectors whose entry of largest size is positive: one basis, one sign."""
    largest = np.abs(vectors).argmax(0)
    signs = np.sign(vectors[largest, np.arange(vectors.shape[1])])
    return vectors * np.where(signs == 0, 1.0, signs)
