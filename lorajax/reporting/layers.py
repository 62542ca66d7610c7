"""What an encoder makes of its modules, drawn over the base model's blocks."""

import math
from collections.abc import Mapping

from lorajax.naming.bases import BASE_MODELS, table_of
from lorajax.reporting.blocks import Panel, labels_of, panels_of
from lorajax.reporting.layer_weights import LayerShares
from lorajax.reporting.markup import Html, Section, element, joined, left_out, table

KEY, TITLE = "layers", "What the layers weigh"
# Colours reach their full strength where a module weighs this many times the mean,
# or its inverse, unless one goes further.
LEAST_RANGE, MOST_RANGE = 1.25, 16.0
# Where no module is further from the mean, nothing was learned that one could see.
PLAIN = 1.05
NAMED = 3


def layers_section(runs: Mapping[str, LayerShares], whys: Mapping[str, str]) -> Section:
    """A heat map for every run, and of the others why there is none."""
    if not runs:
        return left_out(KEY, TITLE, next(iter(whys.values())))
    some = next(iter(runs.values()))
    lead = (
        "How much each module counts in the vector of a LoRA: 1 is the mean of all "
        "modules that this LoRA has, 2 twice as much. Means over those of "
        f"{some.loras} LoRAs that have the module, in the order in which a picture or "
        "a text passes the blocks; point at a cell for its share in all."
    )
    drawn = [_drawing(run, shares) for run, shares in runs.items()]
    missing = [
        element("p", f"Left out: {run}: {why}", class_="left-out")
        for run, why in whys.items()
    ]
    return Section(KEY, TITLE, lead, joined([*drawn, *missing]))


def _drawing(run: str, shares: LayerShares) -> Html:
    what = (
        "learned layer weights (softmax, mean over channels)"
        if shares.learned
        else "no learned layer weights; lengths of what each module contributes"
    )
    known = [ratio for ratio in shares.ratios.tolist() if ratio > 0]
    furthest = max((max(ratio, 1 / ratio) for ratio in known), default=1.0)
    reach = min(max(LEAST_RANGE, furthest), MOST_RANGE)
    panels = panels_of(shares.modules, _table(shares))
    heats = [_heat(name, panel, shares, reach) for name, panel in panels.items()]
    told = [_told(shares, panels)]
    if shares.learned and furthest < PLAIN:
        told.append(
            f" No module is further than {furthest - 1:.2%} from the others' mean: "
            "that is hardly more than a plain mean of all."
        )
    if shares.learned:
        told.append(
            f" Between channels a module's weight varies by ± {shares.channels:.1%}."
        )
    return joined(
        [
            element("h3", f"{run}: {what}"),
            *heats,
            element("p", *told, class_="named"),
        ]
    )


def _told(shares: LayerShares, panels: Mapping[str, Panel]) -> str:
    """The modules that count most, and least."""
    labels = {name: labels_of(panel) for name, panel in panels.items()}
    names = {
        module: f"{name} {labels[name][row]} {part}"
        for name, panel in panels.items()
        for (row, part), module in panel.cells.items()
    }
    known = [i for i in names if not math.isnan(shares.ratios[i])]
    order = sorted(known, key=lambda i: -shares.ratios[i])
    ends = (order[:NAMED], order[::-1][:NAMED])
    most, least = (
        ", ".join(f"{names[i]} ({shares.ratios[i]:.3f})" for i in end) for end in ends
    )
    return f"Most: {most}. Least: {least}."


def _table(shares: LayerShares) -> list[str]:
    """All modules of the base model, none where it has no table."""
    if shares.base_model not in BASE_MODELS:
        return []
    return [module.name for module in table_of(shares.base_model).modules]


def _heat(name: str, panel: Panel, shares: LayerShares, reach: float) -> Html:
    rows = []
    for row, label in labels_of(panel).items():
        cells = [
            _cell(shares, panel.cells[row, part], reach, f"{label}, {part}")
            if (row, part) in panel.cells
            else element("td", class_="none")
            for part in panel.parts
        ]
        rows.append([label, *cells])
    head = [name, *(element("span", part) for part in panel.parts)]
    return table(head, rows, class_="heat")


def _cell(shares: LayerShares, module: int, reach: float, label: str) -> Html:
    ratio, share = float(shares.ratios[module]), float(shares.shares[module])
    if math.isnan(ratio):
        return element("td", class_="none", title=f"{label}: no LoRA has it")
    strength = math.log(max(ratio, 1 / reach)) / math.log(reach)
    colour = "var(--more)" if strength > 0 else "var(--less)"
    depth = f"{100 * min(abs(strength), 1.0) ** 0.8:.0f}%"
    shown = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"
    style = f"background:color-mix(in srgb, {colour} {depth}, var(--paper))"
    told = f"{label}: {ratio:.3f} x the mean, {share:.2%} of all"
    return element("td", shown, style=style, title=told)
