"""Whether the shapes of a pair of factors fit a weight: no arrays, only numbers."""

from collections.abc import Mapping
from math import prod

from lorajax.naming.table import Module

Shape = tuple[int, ...]


def agrees(
    module: Module, roles: Mapping[str, str], tensors: Mapping[str, Shape]
) -> bool:
    """Whether `up` has the weight's outputs and `down` its inputs.

    A convolution's factors may be stored flat, and a linear layer's as 1x1
    convolutions: the numbers are the same.
    """
    out, in_ = _sides(roles, tensors)
    return out in (None, module.shape[0]) and in_ in (None, prod(module.shape[1:]))


def described(roles: Mapping[str, str], tensors: Mapping[str, Shape]) -> str:
    """The weight's shape `[out, in]` as the factors imply it, for messages."""
    out, in_ = _sides(roles, tensors)
    return f"[{'?' if out is None else out}, {'?' if in_ is None else in_}]"


def dims_agree(
    module: Module, roles: Mapping[str, str], tensors: Mapping[str, Shape]
) -> bool:
    """Whether linear is stored as linear and a convolution as a convolution."""
    down = roles.get("down")
    return down is not None and len(tensors[down]) == len(module.shape)


def _sides(
    roles: Mapping[str, str], tensors: Mapping[str, Shape]
) -> tuple[int | None, int | None]:
    up, down = tensors.get(roles.get("up", "")), tensors.get(roles.get("down", ""))
    # A tensor without axes has no sides: 0 agrees with nothing.
    out = None if up is None else (up[0] if up else 0)
    in_ = None if down is None else (prod(down[1:]) if len(down) > 1 else 0)
    return out, in_
