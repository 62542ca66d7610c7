"""Principal components of one module, from whatever is known of its LoRAs.

Two forms of the same thing. From inner products alone (dual): with the centred Gram
matrix K = UΛUᵀ the scores of the training points are U√Λ, and component c is
Σ_i α_ic x_i with α = U/√Λ. A new point's score is αᵀ(k − r), where k holds its inner
products with the training points and r the row means of their Gram matrix; the
remaining centring terms vanish because every column of α sums to zero. From moments
(linear): the eigenvectors of the covariance, which is a sum over LoRAs, so that it does
not matter in how many parts they come.

Without centring the mean is simply not taken away. With `keep="mean"` the one
component is the direction of the mean, and nothing is taken away either.
References: Sirovich 1987; Schölkopf, Smola and Müller 1998.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lorajax.config.features import FeatureSettings

# Eigenvalues below this share of the largest are numerical dust, not components.
RANK_TOLERANCE = 1e-10
# The same for moments of vectors that were computed in float32.
MOMENT_TOLERANCE = 1e-9


@dataclass(frozen=True)
class DualPCA:
    """Principal components of `b` training points, held as weights of those points.

    Attributes:
      alpha: weights of the training points in each component.
      row_mean: row means of the training Gram matrix; zero without centring.
      explained_variance: variance of each component's scores, divided by b − 1.
      total_variance: variance of the training points in all directions.
    """

    alpha: Float[np.ndarray, "b k"]
    row_mean: Float[np.ndarray, " b"]
    explained_variance: Float[np.ndarray, " k"]
    total_variance: float

    @property
    def explained_variance_ratio(self) -> Float[np.ndarray, " k"]:
        return _ratio(self.explained_variance, self.total_variance)

    def transform(self, products: Float[np.ndarray, "q b"]) -> np.ndarray:
        """Scores `[q, k]` of points from their inner products with the training."""
        return (products - self.row_mean) @ self.alpha

    def squared_lengths(
        self, products: Float[np.ndarray, "q b"], own: Float[np.ndarray, " q"]
    ) -> Float[np.ndarray, " q"]:
        """‖x − mean‖² of points from their inner products and own squared lengths."""
        if not self.row_mean.any():
            return own
        return own - 2 * products.mean(1) + self.row_mean.mean()


@dataclass(frozen=True)
class LinearPCA:
    """One module's mean and components in the space of its vectors."""

    mean: Float[np.ndarray, " d"]
    components: Float[np.ndarray, "k d"]
    explained_variance_ratio: Float[np.ndarray, " k"]

    def transform(self, vectors: Float[np.ndarray, "b d"]) -> np.ndarray:
        return (vectors - self.mean) @ self.components.T


@dataclass
class Moments:
    """Sums over the vectors seen so far; adding is all there is to learning more."""

    count: int
    total: Float[np.ndarray, " d"]
    products: Float[np.ndarray, "d d"]

    @classmethod
    def none(cls, width: int) -> "Moments":
        return cls(0, np.zeros(width), np.zeros((width, width)))

    def add(self, vectors: Float[np.ndarray, "b d"]) -> None:
        self.count += len(vectors)
        self.total += vectors.sum(0, dtype="f8")
        self.products += vectors.astype("f8").T @ vectors


def fit_dual_pca(
    gram: Float[np.ndarray, "b b"], settings: FeatureSettings
) -> DualPCA | None:
    """Fits at most `settings.components` components; fewer where the data has fewer.

    Args:
      gram: inner products of the training points, not centred.

    Returns:
      min(components, rank of the data, b − 1 where it is centred) components, or None
      where there are none.
    """
    count = len(gram)
    row_mean = gram.mean(1)
    if settings.keep == "mean":
        length = np.sqrt(max(row_mean.mean(), 0.0))
        if not length:
            return None
        alpha = np.full((count, 1), 1 / (count * length))
        return _dual(alpha, np.zeros(count), gram)
    centred = gram
    if settings.centre:
        centred = gram - row_mean[:, None] - row_mean[None, :] + row_mean.mean()
    values, vectors = _largest(centred, settings, RANK_TOLERANCE, count)
    # Equal updates differ by rounding alone.
    if not len(values) or values[0] <= RANK_TOLERANCE * np.trace(gram):
        return None
    alpha = vectors / np.sqrt(values)
    divisor = max(count - 1, 1)
    return DualPCA(
        alpha=alpha,
        row_mean=row_mean if settings.centre else np.zeros(count),
        explained_variance=values / divisor,
        total_variance=float(np.trace(centred)) / divisor,
    )


def fit_moments(moments: Moments, settings: FeatureSettings) -> LinearPCA | None:
    """The same from moments: components as vectors, None where there are none."""
    count = moments.count
    if count < 2:
        return None
    mean = moments.total / count
    if settings.keep == "mean":
        length = np.linalg.norm(mean)
        if not length:
            return None
        share = length**2 * count / max(np.trace(moments.products), 1e-300)
        direction = (mean / length)[None].astype("f4")
        return LinearPCA(np.zeros(len(mean), "f4"), direction, np.array([share]))
    products = moments.products
    if settings.centre:
        products = products - count * np.outer(mean, mean)
    values, vectors = _largest(products, settings, MOMENT_TOLERANCE, count)
    # Moments of equal vectors differ by rounding alone.
    if not len(values) or values[0] <= MOMENT_TOLERANCE * np.trace(moments.products):
        return None
    return LinearPCA(
        (mean if settings.centre else np.zeros_like(mean)).astype("f4"),
        vectors.T.astype("f4"),
        _ratio(values, float(np.trace(products))),
    )


def _dual(
    alpha: Float[np.ndarray, "b k"],
    row_mean: Float[np.ndarray, " b"],
    gram: Float[np.ndarray, "b b"],
) -> DualPCA:
    """A dual PCA of given weights, with the energy that they explain, uncentred."""
    divisor = max(len(gram) - 1, 1)
    scores = gram @ alpha
    return DualPCA(
        alpha, row_mean, (scores**2).sum(0) / divisor, float(np.trace(gram)) / divisor
    )


def _largest(
    matrix: Float[np.ndarray, "d d"],
    settings: FeatureSettings,
    tolerance: float,
    points: int,
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "d k"]]:
    """The largest eigenvalues and their vectors, with one fixed sign each."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = values > max(values[0], 0.0) * tolerance
    most = points - 1 if settings.centre else points
    count = min(settings.components, most, int(kept.sum()))
    return values[:count], _with_fixed_signs(vectors[:, :count])


def _ratio(variance: Float[np.ndarray, " k"], total: float) -> Float[np.ndarray, " k"]:
    return variance / (total if total > 0 else 1.0)


def _with_fixed_signs(vectors: Float[np.ndarray, "b k"]) -> np.ndarray:
    """Eigenvectors whose entry of largest size is positive: one basis, one sign."""
    largest = np.abs(vectors).argmax(0) if vectors.size else np.zeros(0, int)
    signs = np.sign(vectors[largest, np.arange(vectors.shape[1])])
    return vectors * np.where(signs == 0, 1.0, signs)
