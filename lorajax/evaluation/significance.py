"""Is one method better than another on unseen styles, or was it luck?

Two methods are compared query by query on the same splits. LoRAs of one style are
alike, and with them what a method scores on them, so that the independent pieces of
evidence are the styles and not the queries. A test that takes every query for one finds
differences where there are none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from lorajax.errors import CheckpointError
from lorajax.evaluation.queries import Queries

RESAMPLES = 2000
# As many as let a table of a hundred methods still find what is significant after Holm.
FLIPS = 10_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """How much `a` is above `b`.

    Attributes:
      difference: of the means that are reported, as a mean over seeds.
      low, high: 95 % interval, over new styles and new seeds.
      p_value: two-sided, of no difference on any style between these trained methods.
    """

    difference: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Paired:
    """Queries with a value, of all seeds one after the other.

    Attributes:
      difference: `a` minus `b`.
      weight: what the query counts within its seed.
      seed, style: of each query, as numbers from zero on without a gap.
    """

    difference: Float[np.ndarray, " q"]
    weight: Float[np.ndarray, " q"]
    seed: Int[np.ndarray, " q"]
    style: Int[np.ndarray, " q"]

    @property
    def seeds(self) -> int:
        return int(self.seed.max()) + 1

    @property
    def styles(self) -> int:
        return int(self.style.max()) + 1

    @property
    def share(self) -> Float[np.ndarray, " q"]:
        """What the query counts in the mean over seeds; the sum is one."""
        per_seed = np.bincount(self.seed, weights=self.weight)
        return self.weight / per_seed[self.seed] / self.seeds


def compare(
    a: Sequence[Queries],
    b: Sequence[Queries],
    metric: str,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Comparison:
    """The paired difference of two methods over seeds: how large, and how sure.

    The p-value takes the trained methods as they are, the interval also counts what
    another seed would have changed. To say that a method is better takes both: a small
    p-value, and an interval without zero.

    Args:
      a, b: one for each seed, the same seeds in the same order.

    Raises:
      CheckpointError: where the two were not measured on the same queries.
    """
    paired = pair(a, b, metric)
    p_value = sign_flip(paired, rng, resamples)
    low, high = interval(paired, rng, resamples)
    difference = float(paired.share @ paired.difference)
    return Comparison(difference, low, high, p_value)


def pair(a: Sequence[Queries], b: Sequence[Queries], metric: str) -> Paired:
    """Differences of all queries that have a value.

    Raises:
      CheckpointError: where the two were not measured on the same queries.
    """
    if len(a) != len(b) or not a:
        raise _unlike(f"the same seeds of both, found {len(a)} and {len(b)}")
    for number, (one, other) in enumerate(zip(a, b, strict=True)):
        _check(one, other, metric, number)
    weights = [own.weights(metric) for own in a]
    counted = [weight > 0 for weight in weights]
    used = np.concatenate(counted)
    if not used.any():
        raise _unlike(f"a query with a value for {metric}, found none")
    differences = [
        one.values[metric] - other.values[metric]
        for one, other in zip(a, b, strict=True)
    ]
    seed = np.repeat(np.arange(len(a)), [len(own.styles) for own in a])
    styles = np.array([style for own in a for style in own.styles])
    return Paired(
        difference=np.concatenate(differences)[used],
        weight=np.concatenate(weights)[used],
        seed=np.unique(seed[used], return_inverse=True)[1],
        style=np.unique(styles[used], return_inverse=True)[1],
    )


def sign_flip(
    paired: Paired, rng: np.random.Generator, resamples: int = RESAMPLES
) -> float:
    """Two-sided p-value of a randomisation test, with styles as its units.

    If the methods do not differ, a style's difference could as well have had the other
    sign. All queries of a style, in all seeds, flip together, whatever the correlation
    between them. p = (1 + #{|T*| ≥ |T|}) / (1 + resamples).

    The trained methods are given: training luck that lifts all styles of a seed alike
    counts as a difference here.

    References:
      Fisher, The Design of Experiments, 1935; Smucker, Allan and Carterette, A
      comparison of statistical significance tests for IR evaluation, 2007; Phipson and
      Smyth, Permutation p-values should never be zero, 2010 (adding one).
    """
    parts = np.bincount(paired.style, weights=paired.share * paired.difference)
    drawn = rng.integers(0, 2, size=(resamples, len(parts)), dtype=np.int8)
    signs = 2.0 * drawn - 1.0
    # Sums of the same parts in another order are equal but for their last digits.
    least = abs(parts.sum()) - 1e-12 * np.abs(parts).sum()
    return float((1 + (np.abs(signs @ parts) >= least).sum()) / (1 + resamples))


def interval(
    paired: Paired, rng: np.random.Generator, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """95 % percentile interval by a hierarchical bootstrap.

    Seeds and styles are drawn with replacement, styles by name and jointly over all
    seeds; then queries within each style of each seed. Splits overlap, so one style,
    and each of its LoRAs, may be held out in several seeds and is then no new evidence:
    drawn, it is drawn in all of them. Seeds are drawn too because a seed's training
    luck is shared by all of its styles, which drawing styles cannot see.

    Where styles and seeds are crossed no bootstrap is exact. This one errs on the wide
    side: up to twice the variance where a seed's luck is small, more where queries of a
    style are hardly alike.

    References:
      Owen, The pigeonhole bootstrap, 2007; Davison and Hinkley, Bootstrap Methods and
      their Application, 1997, section 3.8.
    """
    styles = _multinomial(rng, np.full(resamples, paired.styles), paired.styles)
    seeds = _multinomial(rng, np.full(resamples, paired.seeds), paired.seeds)
    total, weight = np.zeros((2, resamples, paired.seeds))
    for seed, style, queries in _cells(paired):
        drawn = styles[:, style] * len(queries)
        counts = _multinomial(rng, drawn, len(queries)) * paired.weight[queries]
        total[:, seed] += counts @ paired.difference[queries]
        weight[:, seed] += counts.sum(1)
    # A seed none of whose styles was drawn says nothing in this resample.
    seeds = np.where(weight > 0, seeds, 0)
    means = total / np.where(weight > 0, weight, 1.0)
    told = seeds.sum(1) > 0
    values = (seeds[told] * means[told]).sum(1) / seeds[told].sum(1)
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def holm(p_values: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """P-values adjusted for `m` comparisons, by the step-down method.

    With p sorted upwards, adjusted p(i) = max over j ≤ i of min(1, (m − j + 1) p(j)).
    Holds the chance of even one false finding, whatever the dependence between tests.

    References:
      Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.arange(len(p_values), 0, -1) * p_values[order]
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def _cells(paired: Paired) -> Iterator[tuple[int, int, Int[np.ndarray, " n"]]]:
    """Seed, style and places of the queries of every style of every seed."""
    cell = paired.seed * paired.styles + paired.style
    order = np.argsort(cell, kind="stable")
    numbers, first = np.unique(cell[order], return_index=True)
    for number, queries in zip(numbers, np.split(order, first[1:]), strict=True):
        seed, style = divmod(int(number), paired.styles)
        yield seed, style, queries


def _multinomial(
    rng: np.random.Generator, draws: Int[np.ndarray, " r"], kinds: int
) -> Int[np.ndarray, "r {kinds}"]:
    """How often each of `kinds` comes in each row's draws, all equally likely."""
    row = np.repeat(np.arange(len(draws)), draws)
    place = row * kinds + rng.integers(kinds, size=len(row))
    return np.bincount(place, minlength=len(draws) * kinds).reshape(-1, kinds)


def _check(a: Queries, b: Queries, metric: str, number: int) -> None:
    """Refuses two splits that are not the same queries, in the same order."""
    where = f"in both at seed {number + 1}"
    for own in (a, b):
        if metric not in own.values:
            found = ", ".join(own.values) or "nothing"
            raise _unlike(f"values for {metric} {where}, found {found}")
    if a.styles != b.styles or not np.array_equal(a.anchors, b.anchors):
        raise _unlike(
            f"the same queries {where}, found {len(a.styles)} and {len(b.styles)} of "
            "other styles, triplets or order"
        )
    if not np.array_equal(np.isnan(a.values[metric]), np.isnan(b.values[metric])):
        raise _unlike(f"{metric} of the same queries {where}")


def _unlike(expected: str) -> CheckpointError:
    return CheckpointError(
        f"methods that cannot be compared: expected {expected}",
        "compare runs of one collection, with the same splits and settings of "
        "evaluation",
    )
