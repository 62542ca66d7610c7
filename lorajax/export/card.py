"""The model card of a bundle, from what its run measured."""

from typing import Any

from lorajax.export.model import Model


def model_card(model: Model, results: dict[str, Any]) -> str:
    """Markdown with what the bundle embeds, how it was made and how good it was."""
    facts = model.basis.facts
    return "\n".join(
        [
            "# LoRA embeddings by lorajax",
            "",
            f"Embeds LoRAs of **{model.base_model}** as unit vectors of "
            f"{model.encoder.settings.width} numbers, from their weights alone.",
            "",
            "```python",
            "import lorajax",
            'vectors = lorajax.load("this/folder").embed(["a.safetensors"])',
            "```",
            "",
            "| fact | value |",
            "|---|---|",
            f"| projection | {facts.kind}, {facts.width} components at most |",
            f"| modules | {len(facts.modules)} |",
            f"| basis | `{model.basis.hash()}`, of {max(facts.fitted_on)} LoRAs |",
            f"| encoder | `{model.encoder.hash()}`, trained: {results['trained']} |",
            f"| supervision | {results['supervision']} |",
            "",
            *_table(results),
        ]
    )


def _table(results: dict[str, Any]) -> list[str]:
    rows = results.get("rows") or []
    if not rows:
        return [f"Not evaluated: {results.get('evaluation_note', 'no results')}", ""]
    metrics = [name for name in rows[0] if name != "method"]
    return [
        f"On {results['split']}, mean ± deviation, {results['splits']} splits:",
        "",
        "| method | " + " | ".join(metrics) + " |",
        "|---|" + "---|" * len(metrics),
        *(
            f"| {row['method']} | "
            + " | ".join(f"{row[m]['mean']:.3f} ± {row[m]['std']:.3f}" for m in metrics)
            + " |"
            for row in rows
        ),
        "",
    ]
