"""What was measured, and the tables of methods × metrics."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lorajax.config import JobSettings
from lorajax.evaluation.metrics import METRICS
from lorajax.reporting.markup import (
    Html,
    Section,
    element,
    joined,
    left_out,
    lines,
    table,
)
from lorajax.training.run_dir import read_metrics

SIGNIFICANT = 0.05
# No file of ours is younger: the year 9999, in seconds.
LATEST = 253_370_764_800
# Of these the smaller value is the better one.
DOWNWARD = {"triplet_loss"}
WORDS = {
    "triplet_accuracy": "triplet accuracy",
    "triplet_loss": "triplet loss",
    "map@10": "MAP@10",
    "mrr": "MRR",
    "recall@10": "recall@10",
    "ndcg@10": "nDCG@10",
}
PAPER = {1: "Triplets by tags", 2: "Triplets by raters", 3: "Ranked candidates"}


def facts_of(
    results: Mapping[str, Any], settings: JobSettings, runs: Sequence[str]
) -> dict[str, str]:
    """Names and words for the list at the top.

    Args:
      results: `results.json` of a run, the first one of a study.
      runs: of a study.
    """
    count, seed = results["splits"], results["seed"]
    path, held_out = settings.collection.path, len(results["held_out"])
    apart = f"{results['split']}, {held_out} LoRAs in split 1"
    teacher = settings.evaluation.teacher
    return {
        "Collection": Path(path).name if path else "the demo collection",
        "LoRAs": f"{results['n_loras']} of {results['base_model']}",
        "Held out": apart if held_out else "nothing",
        "Splits": str(count),
        "Seeds": str(seed) if count == 1 else f"{seed} to {seed + count - 1}",
        "Learned from": results["supervision"],
        "Judged by": teacher or ("the same" if held_out else ""),
        "Runs": ", ".join(runs),
    }


def measured_on(run: Path) -> datetime:
    """The time of the last line of a run's metrics, which copying does not change.

    Where there is none, the time of its results.
    """
    last: Any = None
    try:
        for line, _ in read_metrics(run):
            last = line.get("time") if isinstance(line, dict) else last
    except ValueError:
        pass
    known = isinstance(last, int | float) and 0 < last < LATEST
    seconds = last if known else (run / "results.json").stat().st_mtime
    return datetime.fromtimestamp(seconds, UTC)


def facts_section(
    facts: Mapping[str, str], configs: Mapping[str, str], note: str
) -> Section:
    """What a run or a study is about.

    Args:
      configs: run → its resolved configuration.
      note: why nothing was measured, or nothing.
    """
    pairs = [
        joined([element("dt", name), element("dd", value)])
        for name, value in facts.items()
        if value
    ]
    folded = [
        element(
            "details",
            element("summary", f"Configuration of {run}"),
            element("pre", lines(told)),
        )
        for run, told in configs.items()
    ]
    lead = note or "All numbers are about LoRAs that neither training nor selection saw"
    body = joined([element("dl", *pairs, class_="facts"), *folded])
    return Section("measured", "What was measured", f"{lead.rstrip('.')}.", body)


def table_section(results: Mapping[str, Any]) -> Section:
    """The table of the whole gallery."""
    lead = (
        f"Mean ± standard deviation over {results['splits']} splits, about "
        f"{results['n_queries']} LoRAs each. {stars(results)}"
    )
    return Section("table", "Methods and metrics", lead, metrics_table(results["rows"]))


def no_table(why: str) -> Section:
    return left_out("table", "Methods and metrics", why)


def experiments_section(
    found: Mapping[int, Mapping[str, Any]], missing: Mapping[int, str]
) -> Section:
    """The paper's experiments, each with its table or the reason for its absence."""
    key, title = "experiments", "The paper's experiments"
    if not found:
        return left_out(key, title, f"{'; '.join(missing.values())}.")
    parts = [
        joined(
            [
                element("h3", f"Experiment {number}: {PAPER[number].lower()}"),
                metrics_table(found[number]["rows"])
                if number in found
                else element("p", f"Left out: {missing[number]}.", class_="left-out"),
            ]
        )
        for number in PAPER
    ]
    lead = f"The tables of the paper. {stars(next(iter(found.values())))}"
    return Section(key, title, lead, joined(parts))


def stars(results: Mapping[str, Any]) -> str:
    """What a star in the table means."""
    return (
        f"* differs from “{results['against']}”: p\u00a0<\u00a0{SIGNIFICANT} by a "
        "randomisation test over styles, corrected by Holm over all methods; bold is "
        "the best."
    )


def metrics_table(rows: Sequence[Mapping[str, Any]]) -> Html:
    """A row for each method; a column for each metric that any of them has."""
    metrics = [metric for metric in METRICS if any(metric in row for row in rows)]
    best = {metric: _best(rows, metric) for metric in metrics}
    body = [
        [row["method"], *(_cell(row.get(m), best[m]) for m in metrics)] for row in rows
    ]
    head = ["method", *(WORDS[metric] for metric in metrics)]
    return table(head, body, class_="numbers")


def _best(rows: Sequence[Mapping[str, Any]], metric: str) -> float | None:
    """The best mean; None where all are equal."""
    means = [row[metric]["mean"] for row in rows if metric in row]
    if min(means) == max(means):
        return None
    return min(means) if metric in DOWNWARD else max(means)


def _cell(value: Mapping[str, Any] | None, best: float | None) -> Html:
    if value is None:
        return element("td", "–")
    p_value = value.get("p_value")
    star = "*" if p_value is not None and p_value < SIGNIFICANT else ""
    told = None if p_value is None else f"p = {p_value:.4f}"
    spread = element("small", f" ± {value['std']:.3f}")
    winner = "best" if value["mean"] == best else None
    mean = element("span", f"{value['mean']:.3f}", class_=winner)
    mark = element("span", star, class_="star")
    return element("td", mean, spread, mark, title=told)
