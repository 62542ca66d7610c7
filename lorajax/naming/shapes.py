"""Whether the shapes of factors fit a weight: no arrays, only numbers."""

from collections.abc import Mapping
from math import isqrt, prod
from typing import NamedTuple

Shape = tuple[int, ...]
_Pair = tuple[int | None, int | None]


class Sides(NamedTuple):
    """What factors tell of ΔW as a matrix; None for what they do not.

    Attributes:
      out: its rows.
      in_: its columns; the kernel of a convolution counts among them.
      either: channels of which nothing says whether they come in or go out.
    """

    out: int | None
    in_: int | None
    either: int | None = None


# Tensors that keep the kernel's axes; LyCORIS stores the others flat also for
# convolutions, so that their axes say nothing.
_TELLING = ("down", "weight", "diff", "hada_t1", "lokr_t2", "lokr_w2")
_OPERATORS = ("oft_", "boft_", "ia3_")
# What kohya's OFT calls the blocks of the parts of a fused module, a number behind it.
OFT_PART = "oft_blocks."


def agrees(
    shape: Shape, roles: Mapping[str, str], tensors: Mapping[str, Shape]
) -> bool:
    """Whether the factors have the weight's outputs and inputs.

    A convolution's factors may be stored flat, and a linear layer's as 1x1
    convolutions: the numbers are the same.
    """
    return fits(shape, sides(roles, tensors))


def fits(shape: Shape, seen: Sides) -> bool:
    """Whether a weight has the sides that are known of its factors."""
    if seen.either is not None and seen.either not in shape[:2]:
        return False
    return seen.out in (None, shape[0]) and seen.in_ in (None, prod(shape[1:]))


def described(roles: Mapping[str, str], tensors: Mapping[str, Shape]) -> str:
    """The weight's shape `[out, in]` as the factors imply it, for messages."""
    out, in_, either = sides(roles, tensors)
    if either is not None:
        return f"{either} channels"
    return f"[{'?' if out is None else out}, {'?' if in_ is None else in_}]"


def dims_agree(
    shape: Shape, roles: Mapping[str, str], tensors: Mapping[str, Shape]
) -> bool:
    """Whether linear is stored as linear and a convolution as a convolution."""
    telling = next((roles[role] for role in _TELLING if role in roles), None)
    return telling is not None and len(tensors[telling]) == len(shape)


def sides(roles: Mapping[str, str], tensors: Mapping[str, Shape]) -> Sides:
    """The sides of ΔW, as far as its tensors tell; some of them may be missing."""
    shapes = {role: tensors[key] for role, key in roles.items()}
    if any(role.startswith("hada_") for role in shapes):
        first, second = _half(shapes, "hada", 1), _half(shapes, "hada", 2)
        return Sides(first[0] or second[0], first[1] or second[1])
    if any(role.startswith("lokr_") for role in shapes):
        left, right = _half(shapes, "lokr", 1), _half(shapes, "lokr", 2)
        return Sides(_times(left[0], right[0]), _times(left[1], right[1]))
    if any(role.startswith(_OPERATORS) for role in shapes):
        return _operator_sides(shapes)
    whole = shapes.get("weight", shapes.get("diff"))
    out, in_ = _matrix(whole, shapes.get("up"), shapes.get("down"), None)
    return Sides(out, _times(in_, prod(shapes["mid"][2:])) if "mid" in shapes else in_)


def skew_size(numbers: int) -> int:
    """Rows of the skew-symmetric matrix with so many numbers above its diagonal.

    >>> skew_size(6), skew_size(5)
    (4, 0)
    """
    size = (1 + isqrt(1 + 8 * numbers)) // 2
    return size if size * (size - 1) == 2 * numbers else 0


def _operator_sides(shapes: Mapping[str, Shape]) -> Sides:
    """The sides that an operator works on; of the other nothing is known."""
    for role in ("ia3_l", "ia3_weight"):
        if role in shapes:
            return _scaled_sides(role, shapes[role])
    scales = shapes.get("boft_s", shapes.get("rescale"))
    out = None if scales is None else prod(scales)
    parts = [shape for role, shape in shapes.items() if role.startswith(OFT_PART)]
    if parts and min(map(len, parts)) > 2:
        return Sides(sum(shape[-3] * shape[-1] for shape in parts), None)
    for role in ("oft_blocks", "boft_blocks"):
        if len(blocks := shapes.get(role, ())) > 2:
            return Sides(blocks[-3] * blocks[-1], None)
    if len(blocks := shapes.get("boft_R", ())) == 4:
        return Sides(out, blocks[1] * blocks[2])
    if len(blocks := shapes.get("oft_R", ())) == 2 and blocks[0] > 1:
        # One block may stand for all.
        return Sides(out, blocks[0] * skew_size(blocks[1]))
    return Sides(out, None)


def _scaled_sides(role: str, shape: Shape) -> Sides:
    """What (IA)³ scales: only PEFT's linear layers say which of the two sides."""
    channels = prod(shape)
    if role == "ia3_l" and len(shape) == 2 and 1 in shape:
        return Sides(channels, None) if shape[1] == 1 else Sides(None, channels)
    return Sides(None, None, channels)


def _half(shapes: Mapping[str, Shape], family: str, half: int) -> _Pair:
    """The sides of one of the two matrices that LoHa and LoKr multiply."""
    name = f"{family}_w{half}"
    return _matrix(
        shapes.get(name),
        shapes.get(f"{name}_a"),
        shapes.get(f"{name}_b"),
        shapes.get(f"{family}_t{half}"),
    )


def _matrix(
    whole: Shape | None, a: Shape | None, b: Shape | None, core: Shape | None
) -> _Pair:
    """The sides of `whole`, of `a @ b`, or of a Tucker product around `core`."""
    if whole is not None:
        return _first(whole), _rest(whole)
    if core is not None:
        return _rest(a), _times(_rest(b), prod(core[2:]))
    return _first(a), _rest(b)


def _first(shape: Shape | None) -> int | None:
    # A tensor without axes has no sides: 0 agrees with nothing.
    return None if shape is None else (shape[0] if shape else 0)


def _rest(shape: Shape | None) -> int | None:
    return None if shape is None else (prod(shape[1:]) if len(shape) > 1 else 0)


def _times(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a * b
