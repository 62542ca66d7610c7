"""Base models as heat maps: rows are blocks, columns the parts of a block.

Canonical module names say where a module lies. `unet.down_blocks.1.attentions.0.
transformer_blocks.0.attn1.to_q` is part `attn1.to_q` of block `down_blocks`, place 1,
attention 0, Transformer block 0. Blocks and parts come in the order of the base model.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

# A list of equal blocks, and a place in it.
_LEVEL = re.compile(
    r"(?:^|\.)(\w*(?:blocks|layers|resnets|attentions|samplers)|block|layer|h)"
    r"\.(\d+)(?=\.)"
)
_MID = "mid_block"
# These make up one U-Net; other lists of blocks have drawings of their own.
_UNET = ("down_blocks", _MID, "up_blocks")
# A block, and a place in each of its lists.
Row = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class Place:
    """Where a module lies."""

    panel: str
    block: str
    numbers: tuple[int, ...]
    part: str


@dataclass
class Panel:
    """One heat map.

    Attributes:
      cells: (row, part) → number of the module.
    """

    rows: list[Row] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    cells: dict[tuple[Row, str], int] = field(default_factory=dict)


def place_of(module: str) -> Place:
    """The place that a canonical name tells."""
    component, _, path = module.partition(".")
    levels = list(_LEVEL.finditer(path))
    block = levels[0][1] if levels else ""
    block = _MID if path.startswith(f"{_MID}.") else block
    part = path[levels[-1].end() + 1 :] if levels else path
    if levels and levels[-1][1].endswith("samplers"):
        part = f"sampler {part}"
    panel = component if block in _UNET or not block else f"{component} {block}"
    numbers = tuple(int(level[2]) for level in levels)
    return Place(panel, block, numbers, part or module)


def panels_of(modules: Sequence[str], every: Sequence[str] = ()) -> dict[str, Panel]:
    """Heat maps of some modules.

    Args:
      every: all modules of the base model, in whose order rows and parts come; none
        for the order of the modules themselves.
    """
    panels: dict[str, Panel] = {}
    numbers_of = {module: i for i, module in enumerate(modules)}
    order = [*every, *(module for module in modules if module not in set(every))]
    places = [place_of(module) for module in order]
    depth = {p.panel: 0 for p in places}
    for place in places:
        depth[place.panel] = max(depth[place.panel], len(place.numbers))
    for module, place in zip(order, places, strict=True):
        panel = panels.setdefault(place.panel, Panel())
        numbers = place.numbers + (0,) * (depth[place.panel] - len(place.numbers))
        row = (place.block, numbers)
        if row not in panel.rows:
            panel.rows.append(row)
        if place.part not in panel.parts:
            panel.parts.append(place.part)
        if module in numbers_of:
            panel.cells[row, place.part] = numbers_of[module]
    return {name: _without_gaps(panel) for name, panel in panels.items() if panel.cells}


def _without_gaps(panel: Panel) -> Panel:
    """The panel without rows and parts that hold nothing."""
    rows = {row for row, _ in panel.cells}
    parts = {part for _, part in panel.cells}
    return Panel(
        [row for row in panel.rows if row in rows],
        [part for part in panel.parts if part in parts],
        panel.cells,
    )


def labels_of(panel: Panel) -> dict[Row, str]:
    """What to call the rows."""
    deep = _deep(panel)
    return {row: _label(row, deep) for row in panel.rows}


def _deep(panel: Panel) -> list[bool]:
    """Which of the numbers of a row tell rows apart."""
    return [
        any(numbers) for numbers in zip(*(row[1] for row in panel.rows), strict=True)
    ]


def _label(row: Row, deep: Sequence[bool]) -> str:
    """`down_blocks 1.0`; numbers that are zero everywhere say nothing."""
    block, numbers = row
    last = max((i + 1 for i, used in enumerate(deep) if used), default=0)
    if block == _MID:  # there is only one, so its numbers begin a level lower
        last = max(last - 1, 0)
    told = ".".join(str(number) for number in numbers[:last])
    return f"{block} {told}".strip() or "–"
