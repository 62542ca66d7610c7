"""Families whose every module has tensors of its own: all but SuperLoRA."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from lorajax.adapters.alpha import Alpha
from lorajax.adapters.checks import (
    check_floats,
    check_module,
    check_work,
    factor_shapes,
    family_of,
)
from lorajax.adapters.dora import Axis, Magnitude, magnitude_axis
from lorajax.adapters.families import FAMILIES, Family
from lorajax.adapters.interface import FileUpdate
from lorajax.adapters.matrices import Shapes, full_rank
from lorajax.adapters.operators import Operator
from lorajax.adapters.rows import cut, cut_magnitude
from lorajax.adapters.scaling import PeftScaling
from lorajax.errors import AdapterError
from lorajax.formats.header import TensorTable
from lorajax.formats.safetensors_file import TensorFile
from lorajax.naming.bases import shape_of
from lorajax.naming.families import MAGNITUDES
from lorajax.naming.layers import Rows
from lorajax.naming.resolve import Naming
from lorajax.naming.shapes import sides

# Tensors of a file whose plan is kept: SDXL with all its layers has 2,958.
_MOST_KEPT = 2**12


@dataclass(frozen=True)
class Part:
    """One module of a file: which tensors it has, and of which family.

    Attributes:
      raw_module: the trainer's own name of it.
      roles: role → raw key, without magnitudes.
      shapes: role → shape, without alpha.
      ranks: the rank that alpha is divided by, then all others.
      magnitude: the raw key and the axis of DoRA's magnitudes, or None.
      rows: which of the trainer's module are this one's; empty for all.
    """

    module: str
    raw_module: str
    family: Family
    roles: Mapping[str, str]
    shapes: Shapes
    ranks: tuple[int, ...]
    magnitude: tuple[str, Axis] | None = None
    rows: Rows = ()


@dataclass(frozen=True)
class SinglePlan:
    """The checked modules of a file, before their tensors are read.

    Attributes:
      keys: the tensors to read.
      ranks: canonical module → the rank that it was trained at; of whole matrices all.
      scaling: what a PEFT configuration says, if there is one.
    """

    parts: tuple[Part, ...]
    keys: frozenset[str]
    ranks: Mapping[str, int]
    scaling: PeftScaling | None = None

    def build(
        self, arrays: Mapping[str, Float[np.ndarray, "..."]]
    ) -> dict[str, FileUpdate | Operator]:
        """Canonical module → its update, or its operator."""
        found: dict[str, FileUpdate | Operator] = {}
        for part in self.parts:
            own = {role: arrays[key] for role, key in part.roles.items()}
            value = float(own["alpha"].item()) if "alpha" in own else None
            alpha = Alpha(value, self.scaling, part.raw_module)
            made = part.family.build(own, alpha)
            whole = isinstance(made, Operator)
            found[part.module] = made if whole else cut(made, part.rows)
        return found

    def magnitudes(
        self, arrays: Mapping[str, Float[np.ndarray, "..."]]
    ) -> dict[str, Magnitude]:
        """Canonical module → the magnitudes that lie beside its update."""
        return {
            part.module: cut_magnitude(
                Magnitude(arrays[key].reshape(-1), axis), part.rows
            )
            for part in self.parts
            if part.magnitude
            for key, axis in (part.magnitude,)
        }


def plan_single(file: TensorFile, naming: Naming) -> SinglePlan:
    """What to read and how to build it, after all shapes have been checked.

    Files of one table and one naming share the answer, but for the scaling.

    Raises:
      AdapterError: for half a set, ranks or shapes that do not fit, and an unbounded
        amount of work.
    """
    few = len(file.tensors) <= _MOST_KEPT
    plan = (_kept_plan if few else _plan)(file.table, naming)
    if not file.peft_config:
        return plan
    return replace(plan, scaling=PeftScaling(file.peft_config))


def _plan(table: TensorTable, naming: Naming) -> SinglePlan:
    parts = tuple(
        _part(table, naming, module, roles) for module, roles in naming.modules.items()
    )
    # Modules that are rows of a fused one share its tensors.
    apart = {tuple(p.roles.values()): (p.family, p.shapes) for p in parts}
    check_work(apart.values())
    ranks = {
        part.module: next(iter(part.ranks), 0) or full_rank(part.shapes)
        for part in parts
    }
    keys = frozenset(key for roles in naming.modules.values() for key in roles.values())
    return SinglePlan(parts, keys, MappingProxyType(ranks))


_kept_plan = lru_cache(maxsize=16)(_plan)


def _part(
    table: TensorTable, naming: Naming, module: str, roles: Mapping[str, str]
) -> Part:
    factors = {role: key for role, key in roles.items() if role not in MAGNITUDES}
    family = FAMILIES[family_of(module, factors)]
    shapes = factor_shapes(table, factors)
    check_module(table, module, factors, family, shapes)
    return Part(
        module=module,
        raw_module=naming.raw_modules[module],
        family=family,
        roles=factors,
        shapes=shapes,
        ranks=family.ranks(shapes),
        magnitude=_magnitude(table, naming, module, roles, family),
        rows=naming.rows.get(module, ()),
    )


def _magnitude(
    table: TensorTable,
    naming: Naming,
    module: str,
    roles: Mapping[str, str],
    family: Family,
) -> tuple[str, Axis] | None:
    found = [role for role in MAGNITUDES if role in roles]
    if not found:
        return None
    if len(found) > 1 or family.is_operator:
        raise AdapterError(
            f"expected one tensor of magnitudes, beside an update of {module}, found "
            f"{' and '.join(sorted(roles))}"
        )
    key = roles[found[0]]
    check_floats(table, module, [key])
    # Of a fused module the outputs are those of all its parts.
    out, in_, _ = sides(roles, table.shapes)
    known = shape_of(naming.base_model, module)
    weight = (out or 0, known[1] if known else in_ or 0)
    return key, magnitude_axis(module, found[0], table.shapes[key], weight)
