"""The configuration from which PEFT makes LoKr's matrices as a file has them.

LyCORIS and PEFT cut both sides of a weight in two by one rule, which a `factor` bounds;
LyCORIS writes the matrices, PEFT first makes empty ones from the factor, the rank and
whether the first matrix may be a pair. A file that no such choice explains cannot be
loaded by PEFT, and is refused.

References:
  huggingface/peft `tuners/lokr/layer.py` `update_layer`, `factorization`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isqrt, prod

from lorajax.errors import NamingError
from lorajax.export.convert.tensors import OutLayer
from lorajax.formats.text import listed
from lorajax.naming.shapes import Shape

_UNBOUNDED = -1
_Sides = tuple[int, int]


@dataclass(frozen=True)
class _Matrices:
    """One layer's matrices: their sides, and their ranks where they are pairs."""

    first: _Sides
    second: _Sides
    first_rank: int | None
    second_rank: int | None

    def rank(self, both: bool) -> int | None:
        """The `r` that makes PEFT choose the same pairs; None where none does.

        Args:
          both: whether the first matrix may be a pair as well.
        """
        first, second = max(self.first), max(self.second)
        found = {self.first_rank, self.second_rank} - {None}
        if len(found) > 1:
            return None
        rank = next(iter(found), None) or max(first, second)
        pairs = (both and 2 * rank < first, 2 * rank < second)
        mine = (self.first_rank is not None, self.second_rank is not None)
        return rank if pairs == mine else None


def peft_layout(
    layers: Sequence[OutLayer],
) -> tuple[list[OutLayer], dict[str, object]]:
    """The layers with PEFT's ranks, and what its configuration says beside them.

    Raises:
      NamingError: naming layers whose matrices PEFT would make otherwise.
    """
    own = [_matrices(layer) for layer in layers]
    both = any(matrices.first_rank is not None for matrices in own)
    ranks = [matrices.rank(both) for matrices in own]
    strange = [
        layer.spelled.local for layer, r in zip(layers, ranks, strict=True) if r is None
    ]
    bounds = (_UNBOUNDED, *sorted({max(matrices.first) for matrices in own}))
    fitting = [
        bound
        for bound in bounds
        if all(
            _sides(layer, bound) == (matrices.first, matrices.second)
            for layer, matrices in zip(layers, own, strict=True)
        )
    ]
    if strange or not fitting:
        names = strange or [layer.spelled.local for layer in layers]
        raise NamingError(
            f"expected LoKr matrices as PEFT makes them, found {len(names)} layers of "
            f"other ranks or sides: {listed(names)}",
            "keep the file as it is: its own program reads it",
        )
    made = [replace(layer, rank=r) for layer, r in zip(layers, ranks, strict=True) if r]
    return made, {"decompose_both": both, "decompose_factor": fitting[0]}


def split(side: int, bound: int) -> _Sides:
    """The two numbers that a side is cut into.

    A bound that divides the side is the first of them. Otherwise the first is the
    largest divisor that is neither above the bound nor above the square root.

    >>> split(320, -1), split(320, 8), split(320, 3), split(9, 9)
    ((16, 20), (8, 40), (2, 160), (9, 1))
    """
    if bound > 0 and side % bound == 0:
        return bound, side // bound
    most = side if bound == _UNBOUNDED else bound
    first = max(d for d in range(1, min(isqrt(side), most) + 1) if side % d == 0)
    return first, side // first


def _sides(layer: OutLayer, bound: int) -> tuple[_Sides, _Sides]:
    """What PEFT makes of a layer: `(out, in)` of either matrix."""
    out, in_ = (split(side, bound) for side in layer.spelled.shape[:2])
    return (out[0], in_[0]), (out[1], in_[1])


def _matrices(layer: OutLayer) -> _Matrices:
    start = f"{layer.spelled.name}.lokr_"
    shapes = {t.name.removeprefix(start): t.shape for t in layer.tensors}
    first, first_rank = _matrix(shapes, "w1")
    second, second_rank = _matrix(shapes, "w2")
    if second_rank is not None and "t2" not in shapes:
        # PEFT flattens the window into the inputs of the pair.
        second = (second[0], second[1] // prod(layer.spelled.shape[2:]))
    return _Matrices(first, second, first_rank, second_rank)


def _matrix(shapes: Mapping[str, Shape], name: str) -> tuple[_Sides, int | None]:
    """Sides of a matrix, and its rank where it is a pair."""
    if name in shapes:
        return (shapes[name][0], shapes[name][1]), None
    a, b = shapes[f"{name}_a"], shapes[f"{name}_b"]
    core = name == "w2" and "t2" in shapes
    return (a[1] if core else a[0], b[1]), b[0]
