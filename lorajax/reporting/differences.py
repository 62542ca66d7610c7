"""Bars of what every method is above or below the one that it is compared with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lorajax.evaluation.metrics import Metric
from lorajax.evaluation.queries import Queries
from lorajax.evaluation.significance import Comparison, compare
from lorajax.reporting.axes import Axis
from lorajax.reporting.markup import Html, Section, element, joined, left_out
from lorajax.reporting.measured import WORDS

KEY, TITLE = "ablations", "Ablations and controls"
MAIN: tuple[Metric, ...] = ("triplet_accuracy", "map@10", "ndcg@10")
SEED = 7
# Method → its queries in every split.
Measured = Mapping[str, Sequence[Queries]]


@dataclass(frozen=True)
class Bars:
    """One metric: every other method against the reference.

    Attributes:
      level: what the reference itself scores, as a mean over splits.
    """

    metric: str
    level: float
    found: Mapping[str, Comparison]


def compare_all(
    measured: Measured,
    reference: str,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Bars]:
    """Paired differences of all methods, in the main metrics that were measured.

    Every pair is resampled from the same seed.
    """
    metrics = [metric for metric in MAIN if _has(measured[reference], metric)]
    others = [method for method in measured if method != reference]
    bars, done = [], 0
    for metric in metrics:
        found = {}
        for method in others:
            if _has(measured[method], metric):
                pairs = (measured[method], measured[reference])
                found[method] = compare(*pairs, metric, np.random.default_rng(SEED))
            done += 1
            on_progress(done, len(metrics) * len(others))
        level = np.mean([queries.mean(metric) for queries in measured[reference]])
        bars.append(Bars(metric, round(float(level), 4), found))
    return bars


def differences_section(bars: Sequence[Bars], reference: str, splits: int) -> Section:
    """A panel for every metric, a bar for every method."""
    drawn = [each for each in bars if each.found]
    if not drawn:
        return left_out(KEY, TITLE, "there are no two methods to compare.")
    lead = (
        f"How far every method is from “{reference}”, which stands at zero. The thin "
        "line is the 95 % interval of this paired difference, by a bootstrap over "
        f"unseen styles, {'their queries and the splits' if splits > 1 else 'queries'}"
        "; an interval that holds zero says nothing is sure."
    )
    panels = [_panel(each, reference) for each in drawn]
    return Section(KEY, TITLE, lead, element("div", *panels, class_="panels"))


def _has(queries: Sequence[Queries], metric: str) -> bool:
    return all(
        metric in own.values and not np.isnan(own.mean(metric)) for own in queries
    )


def _panel(bars: Bars, reference: str) -> Html:
    """Better methods first."""
    ends = [0.0, *(e for c in bars.found.values() for e in (c.low, c.high))]
    ends += [c.difference for c in bars.found.values()]
    room = max(max(ends) - min(ends), 1e-6) * 0.03
    axis = Axis(min(ends) - room, max(ends) + room, 0.0, 100.0)
    order = sorted(bars.found.items(), key=lambda item: -item[1].difference)
    rows = [_bar(method, comparison, axis) for method, comparison in order]
    name = WORDS[bars.metric]
    title = f"{name}, against {reference} ({bars.level:.3f})"
    return joined([element("h3", title), element("div", *rows, class_="bars")])


def _bar(method: str, c: Comparison, axis: Axis) -> Html:
    zero, end = axis.place(0.0), axis.place(c.difference)
    low, high = axis.place(c.low), axis.place(c.high)
    sure = "" if c.low <= 0.0 <= c.high else (" up" if c.difference > 0 else " down")
    told, least, most = (
        f"{value:+.3f}".replace("-", "−") for value in (c.difference, c.low, c.high)
    )
    track = element(
        "span",
        element("i", class_="zero", style=f"left:{zero}%"),
        element("i", class_=f"bar{sure}", style=_span(zero, end)),
        element("i", class_="whisker", style=_span(low, high)),
        class_="track",
    )
    value = element("span", element("b", told), f" [{least} … {most}]", class_="value")
    return element("div", element("span", method, class_="name"), track, value)


def _span(one: float, other: float) -> str:
    left, right = sorted((one, other))
    return f"left:{left:.1f}%;width:{right - left:.1f}%"
