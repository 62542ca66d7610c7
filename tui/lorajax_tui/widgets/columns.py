"""The columns of the collection's table: label, width, and how a cell looks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

from rich.text import Text

from lorajax_tui.words import norm, rank, safe

Row = dict[str, Any]
Colours = Mapping[str, str]
TIERS = {"direction": "warning", "operator": "error", "opaque": "error"}
BASES = {"sd1": "primary", "sd2": "warning", "sdxl": "success", "flux": "accent"}
OTHER_BASES = ("warning", "accent", "success", "primary")
NAME_WIDTHS = (18, 60)
_PADDING = 2
_MOSTLY = 0.9


@dataclass(frozen=True)
class ColumnSpec:
    """One column.

    Attributes:
      name: the Arrow column that it sorts by.
      need: how wide the table must be for it to be shown.
    """

    name: str
    label: str
    width: int
    cell: Callable[[Row, Colours], Text]
    need: int = 0


def tier_text(tier: str, colours: Colours) -> Text:
    """A tier, loud only where it limits what can be done."""
    return Text(safe(tier), colours[TIERS[tier]] if tier in TIERS else "dim")


def _name(row: Row, colours: Colours) -> Text:
    return Text(safe(row["name"]), "strike dim" if row["missing"] else "")


def _base(row: Row, colours: Colours) -> Text:
    """Every base model in a colour of its own, the same on every screen."""
    base = row["base_model"]
    other = OTHER_BASES[crc32(base.encode()) % len(OTHER_BASES)]
    return Text(safe(base), colours[BASES.get(base, other)])


def _family(row: Row, colours: Colours) -> Text:
    return Text(safe(row["family"]), "dim" if row["family"] == "lora" else "")


def _tier(row: Row, colours: Colours) -> Text:
    return tier_text(row["tier"], colours)


def _rank(row: Row, colours: Colours) -> Text:
    return Text(rank(row["rank_min"], row["rank_max"]), justify="right")


def _modules(row: Row, colours: Colours) -> Text:
    mapped, total = row["modules_mapped"], row["modules_total"]
    style = "" if mapped >= _MOSTLY * total else colours["warning"]
    text = Text(str(mapped), style, justify="right")
    return text.append(f"/{total}", "dim")


def _norm(row: Row, colours: Colours) -> Text:
    return Text(norm(row["norm"], ".2f"), justify="right")


def _plain(name: str) -> Callable[[Row, Colours], Text]:
    """Cells that show a text as it is, quietly."""
    return lambda row, colours: Text(safe(row[name]), "dim")


SPECS = (
    ColumnSpec("name", "Name", 0, _name),
    ColumnSpec("base_model", "Base", 8, _base),
    ColumnSpec("family", "Family", 7, _family, need=56),
    ColumnSpec("rank_max", "Rank", 6, _rank),
    ColumnSpec("tier", "Tier", 9, _tier),
    ColumnSpec("modules_mapped", "Modules", 9, _modules, need=72),
    ColumnSpec("norm", "Norm", 8, _norm, need=84),
    ColumnSpec("tags", "Tags", 24, _plain("tags"), need=112),
)
MORE = (
    ColumnSpec("format", "Format", 12, _plain("format")),
    ColumnSpec("dtype", "Numbers", 10, _plain("dtype")),
    ColumnSpec("key", "Key", 12, lambda row, colours: Text(row["key"][:12], "dim")),
)


def fitting(
    width: int, base: int = 8, chosen: Collection[str] = ()
) -> list[ColumnSpec]:
    """The columns that fit a table of this width, the name taking what is left.

    Args:
      base: how long the longest name of a base model is.
      chosen: names of the columns that a person chose; none means those that suit the
        width. The name is always shown; what does not fit is left out from the right.
    """
    if chosen:
        shown = [spec for spec in (*SPECS, *MORE) if spec.name in ("name", *chosen)]
    else:
        shown = [spec for spec in SPECS if spec.need <= width]
    base_width = max(5, min(base, width // 4))
    shown = [
        replace(spec, width=base_width) if spec.name == "base_model" else spec
        for spec in shown
    ]
    least, most = NAME_WIDTHS
    while len(shown) > 1 and _others(shown) + least + _PADDING > width:
        shown.pop()
    room = max(least, min(most, width - _others(shown) - _PADDING))
    return [replace(shown[0], width=room), *shown[1:]]


def _others(shown: list[ColumnSpec]) -> int:
    """How wide all columns but the name are."""
    return sum(spec.width + _PADDING for spec in shown[1:])
