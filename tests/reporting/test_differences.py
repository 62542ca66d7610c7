"""Bars: paired differences with the interval that significance computes."""

import numpy as np

from lorajax.evaluation.queries import Queries
from lorajax.evaluation.significance import compare
from lorajax.reporting.differences import SEED, compare_all, differences_section
from tests.reporting.reading import read


def queries(level: float, seed: int, metrics: tuple[str, ...] = ("map@10",)) -> Queries:
    rng = np.random.default_rng(seed)
    values = {m: np.clip(level + rng.normal(0, 0.05, 24), 0, 1) for m in metrics}
    styles = tuple(f"style {i // 4}" for i in range(24))
    return Queries(styles, np.ones(24, np.int64), values)


MEASURED = {
    "plain": [queries(0.5, 0), queries(0.5, 1)],
    "better": [queries(0.7, 2), queries(0.7, 3)],
    "<worse>": [queries(0.3, 4), queries(0.3, 5)],
}


def test_bars_are_what_significance_says() -> None:
    (bars,) = compare_all(MEASURED, "plain")
    assert bars.metric == "map@10" and set(bars.found) == {"better", "<worse>"}
    rng = np.random.default_rng(SEED)
    assert bars.found["better"] == compare(
        MEASURED["better"], MEASURED["plain"], "map@10", rng
    )
    means = [own.mean("map@10") for own in MEASURED["plain"]]
    assert bars.level == round(float(np.mean(means)), 4)


def test_the_section_names_the_reference_and_the_interval() -> None:
    section = differences_section(compare_all(MEASURED, "plain"), "plain", 2)
    assert "“plain”" in section.lead and "95 % interval" in section.lead
    found = read(section.body)
    classes = [i["class"] for i in found.attributes["i"] if "bar" in i["class"]]
    assert classes == ["bar up", "bar down"]  # the better one first
    assert "<worse>" in found.text and found.count["worse"] == 0


def test_metrics_that_a_method_lacks_are_left_out() -> None:
    more = {**MEASURED, "richer": [queries(0.6, 9, ("map@10", "ndcg@10"))] * 2}
    assert [bars.metric for bars in compare_all(more, "plain")] == ["map@10"]
    by_richer = {bars.metric: set(bars.found) for bars in compare_all(more, "richer")}
    assert by_richer["ndcg@10"] == set()
    alone = compare_all({"a": MEASURED["plain"]}, "a")
    assert differences_section(alone, "a", 1).left_out
