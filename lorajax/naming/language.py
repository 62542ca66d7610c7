"""Language models, by the structure of their layers; no table of all sizes is searched.

Adapters of language models are written by PEFT, with the names of the model's own code.
Those tell the family; the widths that the factors show, and the last layer that is
seen, tell the size among those that are listed. A size that is not listed is named by
its family and its width alone, because every file shows the width, whatever it trains:
two files of one model always get one name.

Shapes are `(out, in)` of the update up @ down, also for GPT-2, whose own `Conv1D`
weights lie transposed (`fan_in_fan_out`): a LoRA file holds the same factors.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from lorajax.naming.language_families import FAMILIES, Family
from lorajax.naming.language_sizes import Size
from lorajax.naming.shapes import Shape, sides
from lorajax.naming.table import Module, ModuleTable

_OPEN_ENDED = re.compile(rf"(?:{'|'.join(FAMILIES)})-\d{{1,6}}")


class LanguageModule(NamedTuple):
    """A module's place in a family.

    Attributes:
      stack: `encoder`, `decoder`, or nothing where there is one stack of layers.
      part: the name behind the layer's number.
    """

    name: str
    stack: str
    layer: int
    part: str


@dataclass(frozen=True)
class Reading:
    """How a file reads as one of a family.

    Attributes:
      names: raw module → canonical module.
      widths: symbol → the width that all modules agree on.
      layers: stack → number of layers up to the last that is seen.
      disagreeing: modules that contradict the others' widths.
    """

    family: Family
    names: Mapping[str, str]
    widths: Mapping[str, int]
    layers: Mapping[str, int]
    disagreeing: tuple[str, ...]

    @property
    def open_ended(self) -> str:
        """What a model of this family is called that is not listed."""
        return f"{self.family.name}-{self.widths.get('h', 0)}"

    def fits(self, size: Size) -> bool:
        """Whether nothing that the file shows contradicts a size."""
        return size.family == self.family.name and (
            all(size.widths[symbol] == width for symbol, width in self.widths.items())
            and max(self.layers.values()) <= size.layers
        )

    def spans(self, size: Size) -> bool:
        """Whether the layers that are seen are those of a size, first to last."""
        return dict(self.layers) == dict.fromkeys(self.family.stacks, size.layers)


def is_open_ended(base_model: str) -> bool:
    """Whether it is the name of a language model whose size is not listed."""
    return _OPEN_ENDED.fullmatch(base_model) is not None


def read_as(
    family: Family,
    modules: Mapping[str, Mapping[str, str]],
    tensors: Mapping[str, Shape],
) -> Reading | None:
    """The file as one of a family; None where no name fits.

    Args:
      modules: raw module → role → raw key.
      tensors: raw key → shape.
    """
    names: dict[str, str] = {}
    layers: dict[str, int] = {}
    seen: dict[str, list[tuple[int, str]]] = {}
    disagreeing: list[str] = []
    for raw, roles in modules.items():
        place = _place(family, raw)
        if place is None:
            continue
        names[raw] = place.name
        layers[place.stack] = max(layers.get(place.stack, 0), place.layer + 1)
        out, in_, _ = sides(roles, tensors)
        for side, (times, symbol) in zip(
            (out, in_), family.parts[place.part], strict=True
        ):
            if side is None:
                continue
            if side % times:
                disagreeing.append(raw)
            seen.setdefault(symbol, []).append((side // times, raw))
    if not names:
        return None
    widths = {symbol: _commonest(found) for symbol, found in seen.items()}
    disagreeing += [
        raw
        for symbol, found in seen.items()
        for width, raw in found
        if width != widths[symbol]
    ]
    return Reading(family, names, widths, layers, tuple(dict.fromkeys(disagreeing)))


def size_table(size: Size) -> ModuleTable:
    """All modules of a listed size."""
    return ModuleTable(size.name, tuple(_modules(size)))


def order(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key of canonical names: numbers count as numbers."""
    words = re.split(r"[._]", name)
    return tuple(
        (0, int(word), "") if word.isdecimal() and len(word) < 10 else (1, 0, word)
        for word in words
    )


def _modules(size: Size) -> Iterator[Module]:
    family = FAMILIES[size.family]
    for stack in family.stacks:
        for layer in range(size.layers):
            for part, shape in family.parts.items():
                if not _has(size, stack, part):
                    continue
                out, in_ = (times * size.widths[symbol] for times, symbol in shape)
                yield Module(family.name_of(stack, layer, part), (out, in_))


def _has(size: Size, stack: str, part: str) -> bool:
    path, _, leaf = part.rpartition(".")
    lacks = FAMILIES[size.family].lacks
    return leaf not in size.without and (not stack or lacks.get(path) != stack)


@lru_cache(maxsize=16_384)
def _place(family: Family, raw: str) -> LanguageModule | None:
    match = family.pattern.fullmatch(raw)
    if match is None:
        return None
    found = match.groupdict()
    stack, layer, part = found.get("stack") or "", int(found["layer"]), found["part"]
    name = family.name_of(stack, layer, part)
    return LanguageModule(name, stack, layer, part)


def _commonest(found: list[tuple[int, str]]) -> int:
    widths = [width for width, _ in found]
    return max(sorted(set(widths)), key=widths.count)
