"""Layers as trainers' codes name them, and the canonical modules that their rows are.

One code fuses queries, keys and values into one weight, another splits them, a third
puts the halves of a modulation the other way round. A layer says which of its rows
belong to which canonical module, so that all of them lead to the same modules exactly:
rows of an update are rows of its `up`.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from lorajax.naming.shapes import Shape
from lorajax.naming.table import Module, ModuleTable

# Row spans [start, stop), taken in this order.
Rows = tuple[tuple[int, int], ...]
# What trainers write in front of a diffusion transformer's names.
PREFIXES = (
    *("transformer_", "lora_unet_", "lora_transformer_", "lycoris_"),
    *("diffusion_model_", "model_diffusion_model_", ""),
)

_BLOCK = re.compile(r"(.+?)\.(\d{1,5})\.")


class Piece(NamedTuple):
    """A canonical module within a layer.

    Attributes:
      module: its name, without the component as long as it is in a `Layer`.
      shape: of the canonical weight.
      rows: which rows of the layer it is made of; empty where it is the layer itself.
    """

    module: str
    shape: Shape
    rows: Rows = ()


@dataclass(frozen=True)
class Layer:
    """One weight as a code knows it.

    Attributes:
      names: the names that codes have for it, without the component.
      shape: `(out, in)`, or `(out, in, kh, kw)`.
    """

    names: tuple[str, ...]
    shape: Shape
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, eq=False)
class Component:
    """A part of a base model with weights of its own: a transformer, a text encoder.

    Attributes:
      name: in front of its canonical names.
      layers: in the order of the forward pass.
      prefixes: what trainers write in front of its names, with dots as underscores.
    """

    name: str
    layers: tuple[Layer, ...]
    prefixes: tuple[str, ...]

    @cached_property
    def by_name(self) -> dict[str, tuple[Layer, ...]]:
        """Flat name → the layers of that name, whose pieces have whole names here.

        There are several where a known variant has other widths, as an input that takes
        a control picture as well.
        """
        found: dict[str, tuple[Layer, ...]] = {}
        for layer in self.layers:
            pieces = tuple(
                Piece(f"{self.name}.{p.module}", *p[1:]) for p in layer.pieces
            )
            named = Layer(layer.names, layer.shape, pieces)
            for name in map(flat, layer.names):
                found[name] = (*found.get(name, ()), named)
        return found


@dataclass(frozen=True, eq=False)
class Base:
    """A base model whose layers are known.

    Attributes:
      name: of the base model.
      variants: what shares its names and widths, so that no header can tell them apart.
      declared_only: whether it does so itself with a better known base model; then only
        what a file says of itself can mean it.
    """

    name: str
    components: tuple[Component, ...]
    variants: str = ""
    declared_only: bool = False

    @cached_property
    def table(self) -> ModuleTable:
        """Every canonical module once."""
        shapes = {
            f"{component.name}.{piece.module}": piece.shape
            for component in self.components
            for layer in component.layers
            for piece in layer.pieces
        }
        return ModuleTable(self.name, tuple(Module(n, s) for n, s in shapes.items()))

    @cached_property
    def blocks(self) -> dict[str, int]:
        """Each list of blocks, as `transformer.blocks` → how many there are."""
        return count_blocks(module.name for module in self.table.modules)


def count_blocks(names: Iterable[str]) -> dict[str, int]:
    """The outermost lists of blocks → number of blocks up to the last one.

    >>> count_blocks(["unet.down.0.attn.1.to_q", "unet.down.3.conv"])
    {'unet.down': 4}
    """
    counts: dict[str, int] = {}
    for name in names:
        if block := _BLOCK.match(name):
            blocks, number = block[1], int(block[2])
            counts[blocks] = max(counts.get(blocks, 0), number + 1)
    return counts


def flat(name: str) -> str:
    """The form in which names are compared: dots as underscores."""
    return name.replace(".", "_")


def plain(name: str, shape: Shape, *others: str) -> Layer:
    """A layer that is one canonical module, under other names as well."""
    return Layer((name, *others), shape, (Piece(name, shape),))


def fused(name: str, parts: dict[str, int], in_: int) -> Iterator[Layer]:
    """A weight whose rows are several modules, and each of these on its own.

    Args:
      parts: canonical module → number of its rows, in the order of the rows.
      in_: inputs, the same for all.

    >>> [layer.names for layer in fused("qkv", {"to_q": 2, "to_k": 2}, 2)]
    [('qkv',), ('to_q',), ('to_k',)]
    """
    ends = [0]
    for rows in parts.values():
        ends.append(ends[-1] + rows)
    pieces = tuple(
        Piece(module, (stop - start, in_), ((start, stop),))
        for module, (start, stop) in zip(parts, pairwise(ends), strict=True)
    )
    yield Layer((name,), (ends[-1], in_), pieces)
    yield from (plain(piece.module, piece.shape) for piece in pieces)


def swapped(native: str, name: str, shape: Shape) -> Iterator[Layer]:
    """A modulation whose halves, shift and scale, diffusers keeps the other way round.

    Args:
      native: what the model's own code calls it.
      name: what diffusers calls it, the canonical name.
    """
    half = shape[0] // 2
    rows = ((half, shape[0]), (0, half))
    yield Layer((native,), shape, (Piece(name, shape, rows),))
    yield plain(name, shape)
