"""The model card of a bundle, from what its `config.json` says and nothing else."""

from collections.abc import Mapping
from typing import Any

import yaml

from lorajax.evaluation.results import TRAINED, UNLEARNED
from lorajax.export.card_words import LIMITS, USE, WITHOUT_PACKAGE
from lorajax.formats.text import clean

SIGNIFICANT = 0.05
# Metric → what it is called in the card, best first; the others are in config.json.
METRICS = {
    "triplet_accuracy": "triplet accuracy",
    "map@10": "MAP@10",
    "mrr": "MRR",
    "ndcg@10": "nDCG@10",
}


def model_card(document: Mapping[str, Any]) -> str:
    """Markdown, with the fields that model hubs read in front.

    Args:
      document: what `config.json` holds.
    """
    bases: Mapping[str, Mapping[str, Any]] = document["bases"]
    names = _either([*bases])
    files = [file for facts in bases.values() for file in facts.get("files", ())]
    lines = [
        *_front_matter(bases),
        f"# LoRA embeddings for {names}",
        "",
        f"Turns a LoRA of {names} into one vector of length one, from its weights "
        "alone: no metadata is looked at and no picture is generated. LoRAs that do "
        "alike things get vectors with a high cosine.",
        "",
        *USE,
        *(line for base, facts in bases.items() for line in _model(base, facts)),
        *LIMITS,
        *(WITHOUT_PACKAGE if "features.json" in files else ()),
        *_files(bases),
    ]
    return "\n".join(lines) + "\n"


def _either(names: list[str]) -> str:
    """`a, b or c`."""
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _front_matter(bases: Mapping[str, Mapping[str, Any]]) -> list[str]:
    fields: dict[str, Any] = {
        "library_name": "lorajax",
        "pipeline_tag": "feature-extraction",
        "base_model": list(bases),
        "tags": ["lora", "embeddings", "weight-space-learning", "retrieval"],
    }
    if index := [entry for base in bases for entry in _index(base, bases[base])]:
        fields["model-index"] = [{"name": "lorajax bundle", "results": index}]
    text = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=88)
    return [
        "---",
        "# license: yours to choose before you publish this; mind that of the LoRAs",
        *text.rstrip().splitlines(),
        "---",
        "",
    ]


def _index(base: str, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What hubs list: the metrics of the trained encoder."""
    results = facts.get("results", {})
    row = _row(results, TRAINED)
    if row is None:
        return []
    dataset = f"{results['n_loras']} LoRAs of {base}, {results['split']}"
    return [
        {
            "task": {"type": "feature-extraction"},
            "dataset": {"name": dataset, "type": "private"},
            "metrics": [
                {"type": name, "value": row[name]["mean"]}
                for name in METRICS
                if name in row
            ],
        }
    ]


def _model(base: str, facts: Mapping[str, Any]) -> list[str]:
    results = facts.get("results")
    lines = [
        f"## {base}",
        "",
        "| fact | value |",
        "|---|---|",
        f"| space of its vectors | `{base}:{facts['basis_hash']}:"
        f"{facts['encoder_hash']}` |",
        f"| vector | {facts['embedding']} numbers |",
        f"| features | {facts['projection']}, {facts['modules']} modules, at most "
        f"{facts['components']} components each |",
    ]
    if results is None:
        return [*lines, "", "Exported by an earlier version, which kept no record.", ""]
    return [*lines, *_data(facts, results), "", *_measured(results)]


def _data(facts: Mapping[str, Any], results: Mapping[str, Any]) -> list[str]:
    styles = results.get("n_styles")
    of_styles = f" of {styles} styles" if styles else ""
    rows = {
        "trained": _trained(facts, results),
        "collection": f"{results['n_loras']} LoRAs{of_styles}; features fitted on "
        f"{facts['fitted_on']}, {results['n_held_out']} held out",
        "taught by": clean(results["supervision"], 300),
        "seed": f"{results['seed']}; the model is that of the first of "
        f"{results['splits']} splits, chosen by number and not by its score",
    }
    return [f"| {name} | {value} |" for name, value in rows.items()]


def _trained(facts: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    if not results["trained"]:
        return "no: its vectors are the unlearned features, in fewer numbers"
    training = facts["settings"]["training"]
    losses = (f"{k} × {v:g}" for k, v in training["losses"].items() if v)
    return f"{training['steps']} steps; losses {', '.join(losses)}"


def _measured(results: Mapping[str, Any]) -> list[str]:
    rows = results.get("rows") or []
    if not rows:
        note = clean(results.get("evaluation_note", "no results"), 300)
        return [f"**Not measured.** {note[:1].upper()}{note[1:]}.", ""]
    shown = {name: word for name, word in METRICS.items() if name in rows[0]}
    return [
        f"Measured on {results['split']} that neither training nor selection saw, "
        f"mean ± standard deviation over {results['splits']} splits:",
        "",
        "| method | " + " | ".join(shown.values()) + " |",
        "|---|" + "---|" * len(shown),
        *(
            f"| {row['method']} | " + " | ".join(_cell(row, m) for m in shown) + " |"
            for row in rows
        ),
        "",
        *_verdict(results),
    ]


def _verdict(results: Mapping[str, Any]) -> list[str]:
    """Whether training was worth it, in words."""
    row = _row(results, TRAINED)
    metric = next((m for m in METRICS if row and m in row), None)
    before = _row(results, UNLEARNED)
    if row is None or before is None or metric is None or not results["trained"]:
        return []
    gain = row[metric]["mean"] - before[metric]["mean"]
    p_value = row[metric].get("p_value")
    sure = p_value is not None and p_value < SIGNIFICANT
    what = "better" if gain > 0 else "worse"
    words = (
        f"On {METRICS[metric]} the trained encoder is {what} than the features it reads"
        if sure
        else f"On {METRICS[metric]} the trained encoder cannot be told from the "
        "features it reads"
    )
    told = f" ({gain:+.3f}" + (f", p = {p_value:.2g})" if p_value is not None else ")")
    advice = (
        ""
        if sure and gain > 0
        else " The base space of lorajax, which needs no model, may serve as well."
    )
    return [f"{words}{told}.{advice}", ""]


def _row(results: Mapping[str, Any], method: str) -> Mapping[str, Any] | None:
    rows = results.get("rows") or []
    return next((row for row in rows if row["method"] == method), None)


def _cell(row: Mapping[str, Any], metric: str) -> str:
    value = row.get(metric)
    return f"{value['mean']:.3f} ± {value['std']:.3f}" if value else "–"


def _files(bases: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [
        f"| `bases/{base}/{name}` | {file['bytes'] / 1e6:.2f} MB | `{file['sha256']}` |"
        for base, facts in bases.items()
        for name, file in facts.get("files", {}).items()
    ]
    head = ["## Files", "", "| file | size | SHA-256 |", "|---|---|---|"]
    return [*head, *rows] if rows else []
