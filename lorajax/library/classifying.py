"""Labels for an unknown LoRA by its neighbours, with an honest `unknown`.

Receives unit vectors with known labels, hands out a probability for each label. A
neighbour at cosine s weighs exp(s / T); beside the neighbours stands one stranger at
cosine s₀, whose share of the weight is the probability that the label is none of those
known. T and s₀ are fitted to the library itself: every labelled LoRA is judged once by
the others, without its own piece of work (copies and epochs must not vouch for each
other), and once without its whole label, when `unknown` is right. How much the second
counts is the chance that the next LoRA brings a new label (Good-Turing), at least
`LEAST_STRANGERS`. Below a threshold, chosen so that the answers given were right as
often as is asked for and at least one half, the answer is `unknown`.

References:
  I. J. Good, The population frequencies of species, 1953; S. Dudani, The
  distance-weighted k-nearest-neighbor rule, 1976.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from lorajax.errors import LibraryError

K = 15
PRECISION = 0.9
LEAST_STRANGERS = 0.1
# An answer is likelier than all others and `unknown` together.
LEAST_SURE = 0.5
# Works that carry a label, of how many labels, with how many works each.
MIN_WORKS, MIN_LABELS, MIN_PER_LABEL = 20, 2, 3
# Labelled LoRAs that the fit looks at; more do not move it.
_MAX_JUDGED = 4000
_BLOCK = 256
_TEMPERATURES = tuple(float(t) for t in np.geomspace(0.005, 0.5, 13))
_STRANGER_PLACES = 25


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


def fit(known: Known, wanted: float = PRECISION, seed: int = 0) -> Fit:
    """Fits T, s₀ and the threshold by leaving pieces of work and labels out.

    Raises:
      LibraryError: where there are too few labels to fit anything.
    """
    check_enough(known)
    rng = np.random.default_rng(seed)
    judged = np.arange(len(known.labels))
    if len(judged) > _MAX_JUDGED:
        judged = np.sort(rng.choice(judged, _MAX_JUDGED, replace=False))
    # The works of a label that has no other work are strangers already.
    known_ones = _works_of(known)[known.labels[judged]] > 1
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
    answers, sure = _best_label(cosines, labels, temperature, stranger, known.names)
    correct = answers == truths
    threshold, precision = _threshold(sure, correct, weights, wanted)
    asked = truths >= 0
    given = (sure >= threshold) & (weights > 0)
    coverage = float(weights[given & asked].sum() / weights[asked].sum())
    return Fit(
        *(temperature, stranger, threshold, precision, wanted, coverage, share),
        judged=len(judged),
    )


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
    shares = _shares(
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


def judge_each(known: Known, fitted: Fit) -> list[Answer]:
    """The answer for every known LoRA by the others, without its piece of work."""
    return [
        answer(known, fitted, known.vectors[i], known.works == known.works[i])
        for i in range(len(known.labels))
    ]


def check_enough(known: Known) -> None:
    """Says what is missing where labels are too few to learn from.

    Raises:
      LibraryError: naming what was expected and what was found.
    """
    works = _works_of(known)
    usable = int((works >= MIN_PER_LABEL).sum())
    if works.sum() < MIN_WORKS or usable < MIN_LABELS:
        raise LibraryError(
            f"expected at least {MIN_WORKS} labelled LoRAs with {MIN_LABELS} values "
            f"that {MIN_PER_LABEL} of them share, found {int(works.sum())} with "
            f"{usable} (copies and epochs of a run count once)",
            "label more with: lorajax label NAME field=value",
        )


def strangers_share(known: Known) -> float:
    """The chance that the next LoRA has a new label: labels seen once by LoRAs."""
    works = _works_of(known)
    once = float((works == 1).sum()) / max(float(works.sum()), 1.0)
    return min(max(once, LEAST_STRANGERS), 0.5)


def _works_of(known: Known) -> Int[np.ndarray, " labels"]:
    """How many pieces of work carry each label."""
    pairs = np.unique(np.stack([known.labels, known.works]), axis=1)
    return np.bincount(pairs[0], minlength=len(known.names))


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


def _weights(
    cosines: Float[np.ndarray, "q k"], temperature: float, stranger: float
) -> tuple[Float[np.ndarray, "q k"], Float[np.ndarray, " q"]]:
    """Each neighbour's share of the weight, and the stranger's."""
    top = np.maximum(cosines.max(1, initial=-np.inf), stranger)[:, None]
    weights = np.exp((cosines - top) / temperature)
    lone = np.exp((stranger - top[:, 0]) / temperature)
    total = weights.sum(1) + lone
    return weights / total[:, None], lone / total


def _right(
    cosines: Float[np.ndarray, "q k"],
    labels: Int[np.ndarray, "q k"],
    truths: Int[np.ndarray, " q"],
    temperature: float,
    stranger: float,
) -> Float[np.ndarray, " q"]:
    """The probability given to what is right; -1 is a label that is not known."""
    weights, lone = _weights(cosines, temperature, stranger)
    held = (weights * (labels == truths[:, None])).sum(1)
    return np.where(truths < 0, lone, held)


def _shares(
    cosines: Float[np.ndarray, "q k"],
    labels: Int[np.ndarray, "q k"],
    temperature: float,
    stranger: float,
    count: int,
) -> Float[np.ndarray, "q labels"]:
    weights, _ = _weights(cosines, temperature, stranger)
    shares = np.zeros((len(cosines), count))
    rows = np.repeat(np.arange(len(cosines)), cosines.shape[1])
    np.add.at(shares, (rows, labels.ravel()), weights.ravel())
    return shares


def _best_label(
    cosines: Float[np.ndarray, "q k"],
    labels: Int[np.ndarray, "q k"],
    temperature: float,
    stranger: float,
    names: Sequence[str],
) -> tuple[Int[np.ndarray, " q"], Float[np.ndarray, " q"]]:
    """The likeliest label of each question and its probability, in bounded memory."""
    best = np.empty(len(cosines), np.int64)
    sure = np.empty(len(cosines))
    for start in range(0, len(cosines), _BLOCK):
        here = slice(start, start + _BLOCK)
        shares = _shares(cosines[here], labels[here], temperature, stranger, len(names))
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
