"""An adapter and its base model's weights → the exact update of every module.

DoRA, OFT, BOFT and (IA)³ change a weight by an amount that depends on it. The base is
a safetensors file in the layout of the module table (diffusers): each weight under its
module's canonical name, with or without the component in front. A weight is read when
its update is computed and forgotten again, so that memory stays that of one module.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from jaxtyping import Float

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.checks import check_finite, check_floats
from lorajax.adapters.dense import DenseUpdate
from lorajax.adapters.dora import decomposed
from lorajax.adapters.interface import Update
from lorajax.errors import AdapterError
from lorajax.formats.dtypes import to_float32
from lorajax.formats.safetensors_file import TensorFile
from lorajax.formats.text import shown
from lorajax.naming.bases import table_of

# Models that keep their weights as [in, out], while updates are [out, in].
_TRANSPOSED = ("gpt2",)

Weight = Float[np.ndarray, "out in_ ..."]


@dataclass(frozen=True, eq=False)
class BasedUpdate:
    """An update that is computed from a base weight whenever it is asked for.

    Attributes:
      weight: reads the base weight W.
      change: W → ΔW.
      shape: `(out, in)` of ΔW as a matrix.
    """

    weight: Callable[[], Weight]
    change: Callable[[Weight], Weight]
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
        # What overflows is found where the numbers are checked.
        with np.errstate(all="ignore"):
            return self.change(self.weight()).reshape(self.shape)

    def is_zero(self) -> bool:
        return not self.dense().any()


def with_base(adapter: Adapter, base: TensorFile) -> Adapter:
    """The same adapter with the exact update of every module, of the tier `exact`.

    An adapter that is exact already comes back as it is.

    Raises:
      AdapterError: where a weight is missing, of another shape than the module, or
        holds numbers that are none.
    """
    based = {
        module: BasedUpdate(
            weight=_reader(adapter.base_model, module, base),
            change=_change(adapter, module),
            shape=_matrix_shape(adapter.base_model, module),
        )
        for module in _in_order(adapter, {*adapter.operators, *adapter.magnitudes})
    }
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


def _change(adapter: Adapter, module: str) -> Callable[[Weight], Weight]:
    """W → ΔW of one module."""
    if module in adapter.operators:
        return adapter.operators[module].delta_weight
    magnitude, update = adapter.magnitudes[module], adapter.updates.get(module)

    def change(weight: Weight) -> Weight:
        matrix = weight.reshape(len(weight), -1)
        # A dead update is a direction that training left alone, not the magnitude.
        delta = np.zeros_like(matrix) if update is None else update.dense()
        return decomposed(weight, delta, magnitude)

    return change


def _reader(base_model: str, module: str, base: TensorFile) -> Callable[[], Weight]:
    """Reads one module's weight; its name and shape are checked right away."""
    name = _name(module, base)
    wanted = _shape(base_model, module)
    turned = base_model in _TRANSPOSED
    found = base.tensors[name].shape
    if (found[::-1] if turned else found) != wanted:
        raise AdapterError(
            f"{shown(base.path)}: expected a base weight {list(wanted)} for {module}, "
            f"found {list(found)}",
            f"name the weights of {base_model}",
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


def _shape(base_model: str, module: str) -> tuple[int, ...]:
    table = table_of(base_model)
    return table.modules[table.positions[module]].shape


def _matrix_shape(base_model: str, module: str) -> tuple[int, int]:
    out, *rest = _shape(base_model, module)
    return out, prod(rest)


def _in_order(adapter: Adapter, modules: Iterable[str]) -> list[str]:
    places = table_of(adapter.base_model).positions
    return sorted(modules, key=places.__getitem__)
