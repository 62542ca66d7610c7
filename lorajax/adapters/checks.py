"""What must hold before factors are used: each refusal names what it found."""

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from lorajax.adapters.families import Family
from lorajax.adapters.matrices import Shapes
from lorajax.errors import AdapterError
from lorajax.formats.dtypes import FLOATS, count_not_finite
from lorajax.formats.header import TensorTable
from lorajax.formats.text import clean, listed
from lorajax.naming.families import families_of

MAX_RANK = 4096
# Multiplications of all QR decompositions together: about a minute on two cores.
MAX_WORK = 10**13
MAX_NUMBERS = 2 * 10**9


def check_module(
    table: TensorTable,
    module: str,
    roles: Mapping[str, str],
    family: Family,
    shapes: Shapes,
) -> None:
    """One family's tensors are all there, in floats, and fit; alpha is one number."""
    if frozenset(shapes) not in family.sets:
        alone = " alone" if len(shapes) == 1 else ""
        raise AdapterError(
            f"expected {family.needs} for {module}, "
            f"found {', '.join(sorted(shapes))}{alone}"
        )
    # LyCORIS' switch of (IA)³ is a whole number.
    check_floats(table, module, (roles[r] for r in shapes if r != "on_input"))
    alpha = table.shapes[roles["alpha"]] if "alpha" in roles else ()
    if math.prod(alpha) != 1:
        raise AdapterError(f"expected one alpha for {module}, found {list(alpha)}")
    factors = [shape for role, shape in shapes.items() if role != "on_input"]
    zero = any(0 in shape for shape in factors) and not family.may_be_empty
    empty = zero or not all(factors)
    if empty or not family.fits(shapes):
        found = " and ".join(f"{role} {list(shapes[role])}" for role in sorted(shapes))
        raise AdapterError(f"expected {family.wants} for {module}, found {found}")
    check_rank(module, max(family.ranks(shapes), default=0))


def check_floats(table: TensorTable, module: str, keys: Iterable[str]) -> None:
    """The factors are in a number format that has fractions."""
    for key in keys:
        if (dtype := table.tensors[key].dtype) not in FLOATS:
            raise AdapterError(
                f"expected factors of {module} in {', '.join(FLOATS)}, found {dtype}"
            )


def check_rank(module: str, rank: int) -> None:
    """The rank is one that anybody trains."""
    if rank > MAX_RANK:
        raise AdapterError(
            f"expected a rank of at most {MAX_RANK} for {module}, found {rank}"
        )


def check_work(parts: Iterable[tuple[Family, Shapes]]) -> None:
    """Bound memory and time before either is spent."""
    costs = [family.cost(shapes) for family, shapes in parts]
    bound(sum(numbers for numbers, _ in costs), sum(work for _, work in costs))


def bound(numbers: int, work: int) -> None:
    """Raise where so many numbers or multiplications are too many."""
    if numbers > MAX_NUMBERS or work > MAX_WORK:
        raise AdapterError(
            f"expected at most {MAX_NUMBERS:,} numbers and {MAX_WORK:,} operations, "
            f"found {numbers:,} and {work:,}",
            "resize the LoRA to a lower rank",
        )


def factor_shapes(table: TensorTable, roles: Mapping[str, str]) -> Shapes:
    """The shapes of a module's factors; alpha is none."""
    return {r: table.shapes[key] for r, key in roles.items() if r != "alpha"}


def check_finite(name: str, array: Float[np.ndarray, "..."]) -> None:
    """No number of the tensor is NaN or Inf."""
    check_all_finite([(name, array)])


def check_all_finite(
    named: Iterable[tuple[str, Float[np.ndarray, "..."]]],
) -> None:
    """No number of any tensor is NaN or Inf; a refusal counts them all.

    Raises:
      AdapterError: telling how many there are, and in which tensors.
    """
    wrong: dict[str, int] = {}
    numbers = 0
    for name, array in named:
        if count := count_not_finite(array):
            wrong[name] = count
            numbers += array.size
    if not wrong:
        return
    one = next(iter(wrong))
    where = (
        f"in {clean(one, 120)!r}"
        if len(wrong) == 1
        else f"in {len(wrong):,} tensors: {listed(wrong)}"
    )
    raise AdapterError(
        f"expected finite weights, found {sum(wrong.values()):,} NaN or Inf of "
        f"{numbers:,} {where}",
        "the training diverged or the file is damaged: use an earlier checkpoint",
    )


def family_of(module: str, roles: Mapping[str, str]) -> str:
    """The one family that a module's tensors belong to."""
    families = _families_of(tuple(roles))
    if len(families) != 1:
        kinds = " and ".join(families) or "none"
        raise AdapterError(f"expected one kind of update for {module}, found {kinds}")
    return families[0]


@lru_cache(maxsize=256)
def _families_of(roles: tuple[str, ...]) -> tuple[str, ...]:
    """Cached, because nearly all modules of all files have the same roles."""
    return families_of(roles)
