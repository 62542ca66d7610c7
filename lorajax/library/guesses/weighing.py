"""What neighbours weigh: exp(s / T) at cosine s, beside one stranger at cosine s₀."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from lorajax.errors import TooFewLabelsError

K = 15
LEAST_STRANGERS = 0.1
# Works that carry a label, of how many labels, with how many works each.
MIN_WORKS, MIN_LABELS, MIN_PER_LABEL = 20, 2, 3


@dataclass(frozen=True)
class Known:
    """LoRAs whose label is known.

    Attributes:
      vectors: unit vectors of one space.
      labels: of each, a place in `names`.
      works: the piece of work that each belongs to.
    """

    vectors: Float[np.ndarray, "n e"]
    labels: Int[np.ndarray, " n"]
    works: Int[np.ndarray, " n"]
    names: tuple[str, ...]


def check_enough(known: Known) -> None:
    """Says what is missing where labels are too few to learn from.

    Raises:
      TooFewLabelsError: naming what was expected and what was found.
    """
    works = works_of(known)
    usable = int((works >= MIN_PER_LABEL).sum())
    if works.sum() < MIN_WORKS or usable < MIN_LABELS:
        raise TooFewLabelsError(
            f"expected at least {MIN_WORKS} labelled LoRAs with {MIN_LABELS} values "
            f"that {MIN_PER_LABEL} of them share, found {int(works.sum())} with "
            f"{usable} (copies and epochs of a run count once)",
            "label more with: lorajax label NAME field=value",
        )


def strangers_share(known: Known) -> float:
    """The chance that the next LoRA has a new label: labels seen once by LoRAs."""
    works = works_of(known)
    once = float((works == 1).sum()) / max(float(works.sum()), 1.0)
    return min(max(once, LEAST_STRANGERS), 0.5)


def works_of(known: Known) -> Int[np.ndarray, " labels"]:
    """How many pieces of work carry each label."""
    pairs = np.unique(np.stack([known.labels, known.works]), axis=1)
    return np.bincount(pairs[0], minlength=len(known.names))


def weigh(
    cosines: Float[np.ndarray, "q k"], temperature: float, stranger: float
) -> tuple[Float[np.ndarray, "q k"], Float[np.ndarray, " q"]]:
    """Each neighbour's share of the weight, and the stranger's."""
    top = np.maximum(cosines.max(1, initial=-np.inf), stranger)[:, None]
    weights = np.exp((cosines - top) / temperature)
    lone = np.exp((stranger - top[:, 0]) / temperature)
    total = weights.sum(1) + lone
    return weights / total[:, None], lone / total


def shares_of(
    cosines: Float[np.ndarray, "q k"],
    labels: Int[np.ndarray, "q k"],
    temperature: float,
    stranger: float,
    count: int,
) -> Float[np.ndarray, "q labels"]:
    """The probability of each of so many labels; what is left to 1 is `unknown`."""
    weights, _ = weigh(cosines, temperature, stranger)
    shares = np.zeros((len(cosines), count))
    rows = np.repeat(np.arange(len(cosines)), cosines.shape[1])
    np.add.at(shares, (rows, labels.ravel()), weights.ravel())
    return shares
