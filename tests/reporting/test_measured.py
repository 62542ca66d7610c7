"""Tables, facts and the day of a measurement."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from lorajax.config import JobSettings
from lorajax.reporting.measured import (
    experiments_section,
    facts_of,
    facts_section,
    measured_on,
    metrics_table,
    table_section,
)
from tests.reporting.reading import read


def value(mean: float, p_value: float | None = None) -> dict[str, float | None]:
    return {"mean": mean, "std": 0.01, "p_value": p_value}


ROWS = [
    {"method": "plain", "map@10": value(0.5), "triplet_loss": value(0.2)},
    {"method": "<b>", "map@10": value(0.7, 0.001), "triplet_loss": value(0.1, 0.2)},
    {"method": "none", "mrr": value(1.0)},
]
RESULTS = {"rows": ROWS, "splits": 5, "n_queries": 40, "against": "plain"}


def test_rows_have_mean_spread_and_stars() -> None:
    found = read(metrics_table(ROWS))
    assert found.rows == [
        ["method", "triplet loss", "MAP@10", "MRR"],
        ["plain", "0.200 ± 0.010", "0.500 ± 0.010", "–"],
        ["<b>", "0.100 ± 0.010", "0.700 ± 0.010*", "–"],
        ["none", "–", "–", "1.000 ± 0.010"],
    ]
    titles = [cell.get("title") for cell in found.attributes["td"]]
    assert "p = 0.0010" in titles and "p = 0.2000" in titles


def test_the_best_is_the_lowest_loss_and_the_highest_score() -> None:
    made = metrics_table(ROWS)
    assert made.count('class="best"') == 2  # a single value is no winner
    assert '<span class="best">0.100</span>' in made
    assert '<span class="best">0.700</span>' in made


def test_the_reference_of_the_stars_is_named() -> None:
    section = table_section(RESULTS)
    assert "“plain”" in section.lead and "5 splits" in section.lead


def test_experiments_are_shown_where_they_were_measured() -> None:
    missing = {1: "no tags", 3: "no rankings"}
    found = read(experiments_section({2: RESULTS}, missing).body)
    assert "Left out: no tags." in found.text and "Left out: no rankings" in found.text
    assert found.count["table"] == 1 and "triplets by raters" in found.text
    section = experiments_section({}, {1: "no tags", 2: "no raters", 3: "no ranks"})
    assert section.left_out and section.lead.endswith("no tags; no raters; no ranks.")


def test_facts_say_what_was_held_out() -> None:
    results = {
        **{"splits": 3, "seed": 7, "held_out": ["a", "b"], "split": "unseen styles"},
        **{"n_loras": 9, "base_model": "sd1", "supervision": "tags – <b>"},
    }
    facts = facts_of(results, JobSettings(), ["one", "two"])
    assert facts["Seeds"] == "7 to 9" and facts["Collection"] == "the demo collection"
    assert facts["Held out"] == "unseen styles, 2 LoRAs in split 1"
    found = read(facts_section(facts, {"one": "key: <i>"}, "").body)
    assert found.count["b"] == found.count["i"] == 0 and "key: <i>" in found.text
    nothing = facts_of({**results, "held_out": [], "splits": 1}, JobSettings(), [])
    assert (nothing["Held out"], nothing["Seeds"]) == ("nothing", "7")


def test_the_day_is_that_of_the_files(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    results.write_text("{}", encoding="utf-8")
    os.utime(results, (1e9, 1e9))
    assert measured_on(tmp_path) == datetime.fromtimestamp(1e9, UTC)
    lines = [{"time": 1.5e9}, {"time": 1.6e9}]
    written = "".join(f"{json.dumps(line)}\n" for line in lines)
    (tmp_path / "metrics.jsonl").write_text(written, encoding="utf-8")
    assert measured_on(tmp_path) == datetime.fromtimestamp(1.6e9, UTC)
    (tmp_path / "metrics.jsonl").write_text('{"time": 1e99}\n', encoding="utf-8")
    assert measured_on(tmp_path) == datetime.fromtimestamp(1e9, UTC)
