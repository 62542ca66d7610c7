"""Whether the shapes of factors fit a weight: no arrays, only numbers."""

from collections.abc import Mapping
from math import prod

Shape = tuple[int, ...]
Sides = tuple[int | None, int | None]

# Tensors that keep the kernel's axes; LyCORIS stores the others flat also for
# convolutions, so that their axes say nothing.
_TELLING = ("down", "weight", "hada_t1", "lokr_t2", "lokr_w2")


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
    out, in_ = seen
    return out in (None, shape[0]) and in_ in (None, prod(shape[1:]))


def described(roles: Mapping[str, str], tensors: Mapping[str, Shape]) -> str:
    """The weight's shape `[out, in]` as the factors imply it, for messages."""
    out, in_ = sides(roles, tensors)
    return f"[{'?' if out is None else out}, {'?' if in_ is None else in_}]"


def dims_agree(
    shape: Shape, roles: Mapping[str, str], tensors: Mapping[str, Shape]
) -> bool:
    """Whether linear is stored as linear and a convolution as a convolution."""
    telling = next((roles[role] for role in _TELLING if role in roles), None)
    return telling is not None and len(tensors[telling]) == len(shape)


def sides(roles: Mapping[str, str], tensors: Mapping[str, Shape]) -> Sides:
    """`(out, in)` of ΔW as a matrix; None for a side whose tensor is missing.

    The kernel of a convolution counts among the inputs.
    """
    shapes = {role: tensors[key] for role, key in roles.items()}
    if any(role.startswith("hada_") for role in shapes):
        first, second = _half(shapes, "hada", 1), _half(shapes, "hada", 2)
        return first[0] or second[0], first[1] or second[1]
    if any(role.startswith("lokr_") for role in shapes):
        left, right = _half(shapes, "lokr", 1), _half(shapes, "lokr", 2)
        return _times(left[0], right[0]), _times(left[1], right[1])
    return _matrix(shapes.get("weight"), shapes.get("up"), shapes.get("down"), None)


def _half(shapes: Mapping[str, Shape], family: str, half: int) -> Sides:
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
) -> Sides:
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
