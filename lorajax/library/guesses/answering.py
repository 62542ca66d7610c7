"""The answer for one LoRA: a label with its probability and evidence, or `unknown`."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from lorajax.library.guesses.fitting import Fit
from lorajax.library.guesses.weighing import K, Known, shares_of


@dataclass(frozen=True)
class Answer:
    """What neighbours say of one LoRA.

    Attributes:
      label: the answer, None for `unknown`.
      probabilities: label → probability, the likeliest first; the rest to 1 is
        `unknown`.
      evidence: places of the neighbours among the known, nearest first, with cosines.
    """

    label: str | None
    probabilities: dict[str, float]
    unknown: float
    evidence: tuple[tuple[int, float], ...]


def answer(
    known: Known,
    fitted: Fit,
    vector: Float[np.ndarray, " e"],
    leave: Bool[np.ndarray, " n"] | None = None,
) -> Answer:
    """What the neighbours of a unit vector say.

    Args:
      leave: the known LoRAs that must not vouch for it: its own piece of work.
    """
    cosine = (known.vectors @ vector).astype("f8")
    if leave is not None:
        cosine = np.where(leave, -np.inf, cosine)
    places = np.argsort(-cosine, kind="stable")[: min(K, len(cosine))]
    places = places[np.isfinite(cosine[places])]
    shares = shares_of(
        cosine[places][None],
        known.labels[places][None],
        fitted.temperature,
        fitted.stranger,
        len(known.names),
    )[0]
    ranked = [int(i) for i in np.argsort(-shares, kind="stable") if shares[i] > 0]
    probabilities = {known.names[i]: float(shares[i]) for i in ranked}
    sure = bool(ranked) and float(shares[ranked[0]]) >= fitted.threshold
    return Answer(
        label=known.names[ranked[0]] if sure else None,
        probabilities=probabilities,
        unknown=max(0.0, 1 - sum(probabilities.values())),
        evidence=tuple((int(i), float(cosine[i])) for i in places),
    )
