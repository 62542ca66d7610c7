"""Families whose every module has tensors of its own: LoRA, LoHa and LoKr."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from lorajax.adapters.checks import check_module, check_work, factor_shapes, family_of
from lorajax.adapters.families import FAMILIES, Family
from lorajax.adapters.interface import FileUpdate
from lorajax.adapters.matrices import Shapes, full_rank
from lorajax.adapters.rows import cut
from lorajax.adapters.scaling import PeftScaling, alpha_scale
from lorajax.formats.header import TensorTable
from lorajax.formats.safetensors_file import TensorFile
from lorajax.naming.layers import Rows
from lorajax.naming.resolve import Naming

# Tensors of a file whose plan is kept: SDXL with all its layers has 2,958.
_MOST_KEPT = 2**12


@dataclass(frozen=True)
class Part:
    """One module of a file: which tensors it has, and of which family.

    Attributes:
      raw_module: the trainer's own name of it.
      roles: role → raw key.
      shapes: role → shape, without alpha.
      ranks: the rank that alpha is divided by, then all others.
      rows: which of the trainer's module are this one's; empty for all.
    """

    module: str
    raw_module: str
    family: Family
    roles: Mapping[str, str]
    shapes: Shapes
    ranks: tuple[int, ...]
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
    ) -> dict[str, FileUpdate]:
        """Canonical module → its update."""
        updates: dict[str, FileUpdate] = {}
        for part in self.parts:
            own = {role: arrays[key] for role, key in part.roles.items()}
            scale = _scale(own, part.ranks, self.scaling, part.raw_module)
            updates[part.module] = cut(part.family.build(own, scale), part.rows)
        return updates


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
        _part(table, module, naming, roles) for module, roles in naming.modules.items()
    )
    # Modules that are rows of a fused one share its tensors.
    check_work({p.raw_module: (p.family, p.shapes) for p in parts}.values())
    ranks = {
        part.module: next(iter(part.ranks), 0) or full_rank(part.shapes)
        for part in parts
    }
    keys = frozenset(key for part in parts for key in part.roles.values())
    return SinglePlan(parts, keys, MappingProxyType(ranks))


_kept_plan = lru_cache(maxsize=16)(_plan)


def _part(
    table: TensorTable, module: str, naming: Naming, roles: Mapping[str, str]
) -> Part:
    family = FAMILIES[family_of(module, roles)]
    shapes = factor_shapes(table, roles)
    check_module(table, module, roles, family, shapes)
    raw_module, rows = naming.raw_modules[module], naming.rows.get(module, ())
    ranks = family.ranks(shapes)
    return Part(module, raw_module, family, roles, shapes, ranks, rows)


def _scale(
    own: Mapping[str, Float[np.ndarray, "..."]],
    ranks: tuple[int, ...],
    scaling: PeftScaling | None,
    raw_module: str,
) -> float:
    """A module's scale; without ranks its matrices are whole (LoKr)."""
    if "alpha" in own:
        # LyCORIS writes an alpha also for whole matrices, and does not use it.
        return alpha_scale(float(own["alpha"].item()), ranks[0]) if ranks else 1.0
    if not scaling:
        return 1.0
    if "hada_w1_a" in own and "hada_t1" not in own:
        return scaling.hadamard_scale(raw_module, ranks[0], ranks[1])
    return scaling.scale(raw_module, ranks[0] if ranks else None)
