"""An adapter and its base model's weights → the exact update of every module.

DoRA, OFT, BOFT and (IA)³ change a weight by an amount that depends on it. The base is
a safetensors file in the layout of the module table (diffusers): each weight under its
module's canonical name, with or without the component in front. What works on a fused
weight as a whole gets it put together from its parts, and changes it once for all of
them. A weight is read when its update is computed, and the change of the latest alone
is kept: memory stays that of one layer of the trainer's.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from math import prod

import numpy as np
from jaxtyping import Float

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.checks import check_finite, check_floats
from lorajax.adapters.dense import DenseUpdate
from lorajax.adapters.dora import decomposed
from lorajax.adapters.interface import Update
from lorajax.adapters.rows import put_back, take
from lorajax.errors import AdapterError
from lorajax.formats.dtypes import to_float32
from lorajax.formats.safetensors_file import TensorFile
from lorajax.formats.text import shown
from lorajax.naming.bases import shape_of
from lorajax.naming.layers import Rows

# Models that keep their weights as [in, out], while updates are [out, in].
_TRANSPOSED = re.compile(r"(?:distil)?gpt2(?:-\w+)?")

# Of a module, and of the trainer's one that it is rows of, if it is.
Weight = Float[np.ndarray, "out in_ ..."]
Whole = Float[np.ndarray, "whole in_ ..."]
Parts = Mapping[str, Rows]


@dataclass(frozen=True, eq=False)
class BasedUpdate:
    """An update that is computed from a base weight when it is asked for.

    Attributes:
      change: computes ΔW, of a fused module all of it.
      own: the module's own rows of that; empty for all.
      shape: `(out, in)` of ΔW as a matrix.
    """

    change: Callable[[], Whole]
    own: Rows
    shape: tuple[int, int]

    def matmul(self, x: Float[np.ndarray, "in_ k"]) -> Float[np.ndarray, "out k"]:
        return self.dense() @ x

    def rmatmul(self, x: Float[np.ndarray, "out k"]) -> Float[np.ndarray, "in_ k"]:
        return self.dense().T @ x

    def rows(self, start: int, stop: int) -> DenseUpdate:
        return DenseUpdate(self.dense()[start:stop])

    def squared_norm(self) -> float:
        return DenseUpdate(self.dense()).squared_norm()

    def factors(self) -> None:
        return None

    def dense(self) -> Float[np.ndarray, "out in_"]:
        return take(self.change(), self.own).reshape(self.shape)

    def is_zero(self) -> bool:
        return not self.dense().any()


def with_base(adapter: Adapter, base: TensorFile) -> Adapter:
    """The same adapter with the exact update of every module, of the tier `exact`.

    An adapter that is exact already comes back as it is.

    Raises:
      AdapterError: where a weight is missing, of another shape than the module, or
        holds numbers that are none.
    """
    based = _based(adapter, base)
    if not based:
        return adapter
    updates: dict[str, Update] = {**adapter.updates, **based}
    dead = {*adapter.dead} - based.keys()
    for module, update in based.items():
        delta = update.dense()
        check_finite(f"the update of {module}", delta)
        if not delta.any():
            dead.add(module)
    alive = {m: updates[m] for m in _in_order(adapter, updates) if m not in dead}
    if not alive:
        raise AdapterError(
            f"{shown(adapter.path)}: expected an update of the base model, found none: "
            "it leaves every weight as it is"
        )
    return replace(
        adapter,
        tier="exact",
        updates=alive,
        dead=tuple(_in_order(adapter, dead)),
        magnitudes={},
        operators={},
    )


def _based(adapter: Adapter, base: TensorFile) -> dict[str, BasedUpdate]:
    """The updates of all modules that only a base weight tells, none computed yet."""
    changes: dict[str, Callable[[], Whole]] = {}

    @lru_cache(maxsize=1)
    def change(layer: str) -> Whole:
        # What overflows is found where the numbers are checked.
        with np.errstate(all="ignore"):
            whole = changes[layer]()
        whole.setflags(write=False)  # several updates look at it
        return whole

    based: dict[str, BasedUpdate] = {}
    for module in _in_order(adapter, {*adapter.operators, *adapter.magnitudes}):
        parts = _parts(adapter, module)
        layer = next(iter(parts))
        if layer not in changes:
            changes[layer] = _change(adapter, parts, base)
        shape = _matrix_shape(adapter, module)
        based[module] = BasedUpdate(partial(change, layer), parts[module], shape)
    return based


def _parts(adapter: Adapter, module: str) -> Parts:
    """The modules whose weights it takes to know this one's update, with their rows."""
    magnitude = adapter.magnitudes.get(module)
    if magnitude is not None and magnitude.axis == "out":
        return {module: ()}
    return adapter.fused.get(module, {module: ()})


def _change(adapter: Adapter, parts: Parts, base: TensorFile) -> Callable[[], Whole]:
    """Computes ΔW of all parts together; their weights are looked for right away."""
    readers = [(_reader(adapter, part, base), rows) for part, rows in parts.items()]
    module = next(iter(parts))

    def change() -> Whole:
        weight = put_back([(read(), rows) for read, rows in readers])
        if module in adapter.operators:
            return adapter.operators[module].delta_weight(weight)
        direction = put_back(
            [(_direction(adapter, part), rows) for part, rows in parts.items()]
        )
        return decomposed(weight, direction, adapter.magnitudes[module])

    return change


def _direction(adapter: Adapter, module: str) -> Float[np.ndarray, "out in_"]:
    # A dead update is a direction that training left alone, not the magnitude.
    update = adapter.updates.get(module)
    shape = _matrix_shape(adapter, module)
    return np.zeros(shape, np.float32) if update is None else update.dense()


def _reader(adapter: Adapter, module: str, base: TensorFile) -> Callable[[], Weight]:
    """Reads one module's weight; its name and shape are checked right away."""
    name = _name(module, base)
    wanted = _shape(adapter, module)
    turned = _TRANSPOSED.fullmatch(adapter.base_model) is not None
    found = base.tensors[name].shape
    if (found[::-1] if turned else found) != wanted:
        raise AdapterError(
            f"{shown(base.path)}: expected a base weight {list(wanted)} for {module}, "
            f"found {list(found)}",
            f"name the weights of {adapter.base_model}",
        )
    check_floats(base.table, module, [name])

    def read() -> Weight:
        weight = to_float32(base.read(name))
        check_finite(name, weight)
        return weight.T if turned else weight

    return read


def _name(module: str, base: TensorFile) -> str:
    names = [f"{module}.weight", f"{module.partition('.')[2]}.weight"]
    for name in names:
        if name in base.tensors:
            return name
    raise AdapterError(
        f"{shown(base.path)}: expected the base weight {names[0]} or {names[1]}, "
        "found neither",
        "name the safetensors file of the base model in diffusers' layout",
    )


def _shape(adapter: Adapter, module: str) -> tuple[int, ...]:
    """That of the weight; without a table only an update tells it."""
    if known := shape_of(adapter.base_model, module):
        return known
    if module in adapter.updates:
        return adapter.updates[module].shape
    raise AdapterError(
        f"{shown(adapter.path)}: expected a base model with a table of modules, which "
        f"tells the shape of {module}, found {adapter.base_model}"
    )


def _matrix_shape(adapter: Adapter, module: str) -> tuple[int, int]:
    out, *rest = _shape(adapter, module)
    return out, prod(rest)


def _in_order(adapter: Adapter, modules: Collection[str]) -> list[str]:
    return [module for module in adapter.ranks if module in modules]
