"""SuperLoRA files: tensors of groups, checked against the layout, become dense updates.

Where a group crosses modules or is shuffled, no module has factors of its own, so that
ΔW is expanded once, into one vector that all modules look at. Its size is bounded
before anything is read.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from jaxtyping import Float

from lorajax.adapters.checks import bound, check_floats, check_rank
from lorajax.adapters.dense import DenseUpdate
from lorajax.adapters.dora import Magnitude
from lorajax.adapters.interface import FileUpdate
from lorajax.adapters.rows import cut
from lorajax.adapters.superlora import Factor, expansion, group_sizes, reconstruct
from lorajax.errors import AdapterError
from lorajax.formats.header import TensorTable
from lorajax.formats.safetensors_file import TensorFile
from lorajax.formats.text import clean
from lorajax.naming.resolve import Naming
from lorajax.naming.superlora import ENTRY, Layout

# All values together take 256 MB; a group's tensor, what leads to it and its
# permutation about as much again, one group at a time.
MAX_VALUES = 2**26
MAX_GROUP = 2**23
MAX_TENSOR = 2**24
_SMALL_TENSOR = 2**16


@dataclass(frozen=True)
class JointPlan:
    """The checked groups of a file, before their tensors are read."""

    table: TensorTable
    naming: Naming
    keys: frozenset[str]

    @property
    def ranks(self) -> Mapping[str, int]:
        """Canonical module → the largest rank of the groups that it lies in."""
        return _ranks(self.table, self.naming)

    def build(
        self, arrays: Mapping[str, Float[np.ndarray, "..."]]
    ) -> dict[str, FileUpdate]:
        """Canonical module → its part of the joint vector."""
        return _build(self.naming, arrays)

    def magnitudes(
        self, arrays: Mapping[str, Float[np.ndarray, "..."]]
    ) -> dict[str, Magnitude]:
        """None: no magnitudes lie beside a joint vector."""
        return {}


def plan_joint(file: TensorFile, naming: Naming) -> JointPlan:
    """What to read and how to build it, after all shapes have been checked.

    Raises:
      AdapterError: for tensors that are missing or too many, sides that do not fit
        together or hold too few or far too many values, and unbounded work.
    """
    table, layout = file.table, _layout(naming)
    if layout.total > MAX_VALUES or layout.groups > layout.total:
        raise AdapterError(
            f"expected at most {MAX_VALUES:,} values, and no more groups than values, "
            f"found {layout.total:,} values in {layout.groups:,} groups",
            "train it on fewer modules",
        )
    keys: set[str] = set()
    works = 0
    for group, n in enumerate(group_sizes(layout.total, layout.groups)):
        factors = [_names(table, layout, group, k) for k in range(layout.factors)]
        works += _check_group(table, group, n, factors)
        keys |= {key for names in factors for key in names.values()}
    bound(sum(math.prod(table.shapes[key]) for key in keys), works)
    strange = [
        key for key in table.tensors if key.startswith(ENTRY) and key not in keys
    ]
    if strange:
        raise AdapterError(
            f"expected the tensors of {layout.groups} groups of {layout.factors} "
            f"factors, found {clean(strange[0], 80)!r} beside them"
        )
    return JointPlan(table, naming, frozenset(keys))


def _build(
    naming: Naming, arrays: Mapping[str, Float[np.ndarray, "..."]]
) -> dict[str, FileUpdate]:
    layout = _layout(naming)
    values = reconstruct(
        (
            [_factor(layout, arrays, group, k) for k in range(layout.factors)]
            for group in range(layout.groups)
        ),
        group_sizes(layout.total, layout.groups),
        layout.scale,
        layout.shuffle_seed,
    )
    spans = module_spans(layout)
    shapes = {module.name: module.shape for module in layout.modules}
    return {
        module: cut(
            DenseUpdate(values[slice(*spans[raw])].reshape(shapes[raw][0], -1)),
            naming.rows.get(module, ()),
        )
        for module, raw in naming.raw_modules.items()
    }


def _ranks(table: TensorTable, naming: Naming) -> dict[str, int]:
    layout = _layout(naming)
    ends = [0, *accumulate(group_sizes(layout.total, layout.groups))]
    ranks = [
        max(
            table.shapes[name][1]
            for k in range(layout.factors)
            for role, name in _names(table, layout, group, k).items()
            if role != "core"
        )
        for group in range(layout.groups)
    ]
    spans = module_spans(layout)
    found: dict[str, int] = {}
    for module, raw in naming.raw_modules.items():
        start, stop = spans[raw]
        first = int(np.searchsorted(ends, start, "right")) - 1
        last = int(np.searchsorted(ends, stop, "left"))
        found[module] = max(ranks[first:last])
    return found


def module_spans(layout: Layout) -> dict[str, tuple[int, int]]:
    """Module → where its values begin and end in the joint vector."""
    ends = accumulate((math.prod(m.shape) for m in layout.modules), initial=0)
    return {m.name: s for m, s in zip(layout.modules, pairwise(ends), strict=True)}


def _layout(naming: Naming) -> Layout:
    assert naming.layout is not None
    return naming.layout


def _names(table: TensorTable, layout: Layout, group: int, k: int) -> dict[str, str]:
    """Role → raw key of one tensor's parts; the core may be missing."""
    start = f"{ENTRY}.g{group}.k{k}"
    names = {f"a{m}": f"{start}.a{m}" for m in range(layout.ways)}
    for name in names.values():
        if name not in table.tensors:
            raise AdapterError(f"expected {name}, found none", "the file is damaged")
    core = f"{start}.core"
    return names | ({"core": core} if core in table.tensors else {})


def _factor(
    layout: Layout,
    arrays: Mapping[str, Float[np.ndarray, "..."]],
    group: int,
    k: int,
) -> Factor:
    start = f"{ENTRY}.g{group}.k{k}"
    sides = tuple(arrays[f"{start}.a{m}"] for m in range(layout.ways))
    return Factor(sides, arrays.get(f"{start}.core"))


def _check_group(
    table: TensorTable, group: int, n: int, factors: list[dict[str, str]]
) -> int:
    """The work of a group, if its parts fit together and hold `n` values."""
    what = f"group {group} of SuperLoRA"
    work, held = 0, 1
    for names in factors:
        check_floats(table, what, names.values())
        shapes = {role: table.shapes[name] for role, name in names.items()}
        core = shapes.pop("core", None)
        sides = list(shapes.values())
        if not _fits(sides, core):
            found = [list(s) for s in (*sides, *([core] if core is not None else []))]
            raise AdapterError(
                f"expected sides [d, rank] of one rank or of the core's in {what}, "
                f"found {', '.join(map(str, found))}"
            )
        check_rank(what, max(side[1] for side in sides))
        largest, cost = expansion(sides, core)
        held *= math.prod(side[0] for side in sides)
        _check_held(what, n, max(held, largest), held)
        work += cost
    if held < n:
        raise AdapterError(
            f"expected a tensor of {n:,} values in {what}, found {held:,}"
        )
    return work + held * len(factors)


def _fits(sides: list[tuple[int, ...]], core: tuple[int, ...] | None) -> bool:
    if any(len(side) != 2 or 0 in side for side in sides):
        return False
    ranks = tuple(side[1] for side in sides)
    return core == ranks if core is not None else len(set(ranks)) == 1


def _check_held(what: str, n: int, largest: int, held: int) -> None:
    """Neither the tensor nor what leads to it takes much more than its values."""
    if n > MAX_GROUP or largest > MAX_TENSOR or held > max(4 * n, _SMALL_TENSOR):
        raise AdapterError(
            f"expected at most {MAX_GROUP:,} values in {what}, in a tensor hardly "
            f"larger, found {n:,} values and a tensor of {max(largest, held):,}",
            "train it with more groups",
        )
