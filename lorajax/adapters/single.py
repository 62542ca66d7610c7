"""Families whose every module has tensors of its own: LoRA, LoHa and LoKr."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from lorajax.adapters.checks import (
    check_module,
    check_work,
    factor_shapes,
    family_of,
)
from lorajax.adapters.families import FAMILIES
from lorajax.adapters.interface import FileUpdate
from lorajax.adapters.matrices import full_rank
from lorajax.adapters.scaling import PeftScaling, alpha_scale
from lorajax.formats.safetensors_file import TensorFile
from lorajax.naming.resolve import Naming


def check_single(file: TensorFile, naming: Naming) -> set[str]:
    """The tensors to read, after their shapes have been checked.

    Raises:
      AdapterError: for half a set, ranks or shapes that do not fit, and an unbounded
        amount of work.
    """
    for module, roles in naming.modules.items():
        check_module(file, module, roles)
    check_work(file, naming.modules)
    return {key for roles in naming.modules.values() for key in roles.values()}


def build_single(
    file: TensorFile, naming: Naming, arrays: Mapping[str, Float[np.ndarray, "..."]]
) -> dict[str, FileUpdate]:
    """Canonical module → its update."""
    scaling = PeftScaling(file.peft_config) if file.peft_config else None
    updates: dict[str, FileUpdate] = {}
    for module, roles in naming.modules.items():
        family = FAMILIES[family_of(module, roles)]
        own = {role: arrays[key] for role, key in roles.items()}
        ranks = family.ranks(factor_shapes(file, roles))
        scale = _scale(own, ranks, scaling, naming.raw_modules[module])
        updates[module] = family.build(own, scale)
    return updates


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


def single_ranks(file: TensorFile, naming: Naming) -> dict[str, int]:
    """Canonical module → the rank that it was trained at; of whole matrices all."""
    ranks: dict[str, int] = {}
    for module, roles in naming.modules.items():
        family = FAMILIES[family_of(module, roles)]
        shapes = factor_shapes(file, roles)
        ranks[module] = next(iter(family.ranks(shapes)), 0) or full_rank(shapes)
    return ranks
