"""How neighbours are weighed, fitted to the library itself.

Every labelled LoRA is judged once by the others, without its own piece of work, and
once without its whole label, when `unknown` is right.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from lorajax.library.guesses.weighing import (
    K,
    Known,
    check_enough,
    shares_of,
    strangers_share,
    weigh,
    works_of,
)

PRECISION = 0.9
# An answer is likelier than all others and `unknown` together.
LEAST_SURE = 0.5
# Labelled LoRAs that the fit looks at; more do not move it.
_MAX_JUDGED = 4000
_BLOCK = 256
_TEMPERATURES = tuple(float(t) for t in np.geomspace(0.005, 0.5, 13))
_STRANGER_PLACES = 25


@dataclass(frozen=True)
class Fit:
    """How neighbours are weighed, and what that was worth on the library itself.

    Attributes:
      temperature: T; `stranger`: s₀.
      threshold: probability below which the answer is `unknown`.
      precision: share of right answers among those given, with strangers among the
        questions; `wanted` what was asked for.
      coverage: share of questions about known labels that got an answer.
      strangers: share of questions whose label is new that the fit reckons with.
      judged: LoRAs that it was fitted on.
    """

    temperature: float
    stranger: float
    threshold: float
    precision: float
    wanted: float
    coverage: float
    strangers: float
    judged: int


def fit(known: Known, wanted: float = PRECISION, seed: int = 0) -> Fit:
    """Fits T, s₀ and the threshold by leaving pieces of work and labels out.

    Raises:
      TooFewLabelsError: where there are too few labels to fit anything.
    """
    check_enough(known)
    rng = np.random.default_rng(seed)
    judged = np.arange(len(known.labels))
    if len(judged) > _MAX_JUDGED:
        judged = np.sort(rng.choice(judged, _MAX_JUDGED, replace=False))
    # The works of a label that has no other work are strangers already.
    known_ones = works_of(known)[known.labels[judged]] > 1
    truth = known.labels[judged]
    own = _neighbours(known, judged, leave_label=False)
    foreign = _neighbours(known, judged, leave_label=True)
    share = strangers_share(known)
    weights = np.concatenate(
        [
            _spread(known_ones, 1 - share),
            np.full(len(judged), share / len(judged)),
        ]
    )
    truths = np.concatenate([truth, np.full(len(judged), -1)])
    cosines = np.concatenate([own[0], foreign[0]])
    labels = np.concatenate([own[1], foreign[1]])
    best = (math.inf, 0.0, 0.0)
    tops = own[0][:, 0][np.isfinite(own[0][:, 0])]
    places = np.quantile(tops, np.linspace(0, 1, _STRANGER_PLACES))
    for temperature in _TEMPERATURES:
        for place in places:
            right = _right(cosines, labels, truths, temperature, float(place))
            loss = -float(weights @ np.log(np.maximum(right, 1e-6)))
            best = min(best, (loss, temperature, float(place)))
    _, temperature, stranger = best
    answers, sure = _best_label(
        cosines, labels, temperature, stranger, len(known.names)
    )
    correct = answers == truths
    threshold, precision = _threshold(sure, correct, weights, wanted)
    asked = truths >= 0
    given = (sure >= threshold) & (weights > 0)
    coverage = float(weights[given & asked].sum() / weights[asked].sum())
    return Fit(
        *(temperature, stranger, threshold, precision, wanted, coverage, share),
        judged=len(judged),
    )


def _neighbours(
    known: Known, judged: Int[np.ndarray, " q"], leave_label: bool
) -> tuple[Float[np.ndarray, "q k"], Int[np.ndarray, "q k"]]:
    """Cosines and labels of the nearest that may speak; -inf where there are fewer."""
    k = min(K, len(known.labels))
    cosines = np.empty((len(judged), k))
    labels = np.empty((len(judged), k), np.int64)
    for start in range(0, len(judged), _BLOCK):
        rows = judged[start : start + _BLOCK]
        cosine = (known.vectors[rows] @ known.vectors.T).astype("f8")
        mute = known.works[rows, None] == known.works[None]
        if leave_label:
            mute |= known.labels[rows, None] == known.labels[None]
        cosine[mute] = -np.inf
        nearest = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
        found = np.take_along_axis(cosine, nearest, axis=1)
        order = np.argsort(-found, axis=1, kind="stable")
        here = slice(start, start + len(rows))
        cosines[here] = np.take_along_axis(found, order, axis=1)
        labels[here] = known.labels[np.take_along_axis(nearest, order, axis=1)]
    return cosines, labels


def _right(
    cosines: Float[np.ndarray, "q k"],
    labels: Int[np.ndarray, "q k"],
    truths: Int[np.ndarray, " q"],
    temperature: float,
    stranger: float,
) -> Float[np.ndarray, " q"]:
    """The probability given to what is right; -1 is a label that is not known."""
    weights, lone = weigh(cosines, temperature, stranger)
    held = (weights * (labels == truths[:, None])).sum(1)
    return np.where(truths < 0, lone, held)


def _best_label(
    cosines: Float[np.ndarray, "q k"],
    labels: Int[np.ndarray, "q k"],
    temperature: float,
    stranger: float,
    count: int,
) -> tuple[Int[np.ndarray, " q"], Float[np.ndarray, " q"]]:
    """The likeliest label of each question and its probability, in bounded memory."""
    best = np.empty(len(cosines), np.int64)
    sure = np.empty(len(cosines))
    for start in range(0, len(cosines), _BLOCK):
        here = slice(start, start + _BLOCK)
        shares = shares_of(cosines[here], labels[here], temperature, stranger, count)
        best[here], sure[here] = shares.argmax(1), shares.max(1)
    return best, sure


def _threshold(
    sure: Float[np.ndarray, " q"],
    correct: Bool[np.ndarray, " q"],
    weights: Float[np.ndarray, " q"],
    wanted: float,
) -> tuple[float, float]:
    """The lowest probability from which answers are right often enough.

    One more wrong answer than was seen is reckoned with, so that few lucky answers
    promise nothing. Where no threshold is enough nothing is ever answered.
    """
    order = np.argsort(-sure, kind="stable")
    order = order[sure[order] >= LEAST_SURE]
    right = np.cumsum((weights * correct)[order])
    given = np.cumsum(weights[order])
    one = weights[weights > 0].mean()
    if not len(order):
        return math.inf, 0.0
    promised = right / (given + one)
    # Equal probabilities stand or fall together.
    last = np.append(sure[order][1:] < sure[order][:-1], True)
    enough = np.flatnonzero((promised >= wanted) & last)
    if not len(enough):
        return math.inf, 0.0
    place = enough[-1]
    return float(sure[order][place]), float(right[place] / given[place])


def _spread(chosen: Bool[np.ndarray, " q"], total: float) -> Float[np.ndarray, " q"]:
    """A weight that the chosen share equally."""
    return np.where(chosen, total / max(int(chosen.sum()), 1), 0.0)
