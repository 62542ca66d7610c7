"""Cores and scores of a LoRA's modules: compiled for plain LoRA, NumPy for the rest.

The work of a file is dealt out to all cores; every part is the same compiled function
with other modules to go through.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property

import jax
import numpy as np
from jaxtyping import Float

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.algebra import sketch
from lorajax.adapters.interface import Update
from lorajax.adapters.low_rank import LowRankUpdate
from lorajax.config.features import Scaling
from lorajax.projection.blocks import FactorBlock, factor_blocks
from lorajax.projection.kernels import Group, Shape, Work, project
from lorajax.projection.scaling import scale_factor

# Below this many numbers a second core costs more than it brings.
_WORTH_SHARING = 2**20
_MOST_PARTS = 8


@dataclass(frozen=True)
class Layout:
    """Which module is which row of which group.

    Attributes:
      shapes: module → `(out, in)`.
      rows: module → its row in the group of its shape.
    """

    shapes: Mapping[str, Shape]
    rows: Mapping[str, int]

    @classmethod
    def of(cls, shapes: Mapping[str, Shape]) -> "Layout":
        counts: dict[Shape, int] = {}
        rows: dict[str, int] = {}
        for module, shape in shapes.items():
            rows[module] = counts.get(shape, 0)
            counts[shape] = rows[module] + 1
        return cls(shapes, rows)

    @cached_property
    def members(self) -> dict[Shape, list[str]]:
        """Shape → its modules, in the order of their rows."""
        members: dict[Shape, list[str]] = {}
        for module, shape in self.shapes.items():
            members.setdefault(shape, []).append(module)
        return members


@dataclass(frozen=True)
class Row:
    """What is found of one module: its flattened core and its scores."""

    core: Float[np.ndarray, " ac"]
    scores: Float[np.ndarray, " k"]


@dataclass(frozen=True)
class Projector:
    """What projects LoRAs: fitted groups, and where each module lies in them."""

    layout: Layout
    groups: Mapping[Shape, Group]
    scaling: Scaling

    def __call__(self, adapter: Adapter, modules: Sequence[str]) -> dict[str, Row]:
        """Module → its core and scores, for live modules of known shapes.

        Raises:
          ValueError: for a module of another shape than the one fitted.
        """
        plain: dict[str, LowRankUpdate] = {}
        found: dict[str, Row] = {}
        for module in modules:
            update = adapter.updates[module]
            if update.shape != self.layout.shapes[module]:
                raise ValueError(
                    f"expected {module} of shape {self.layout.shapes[module]}, "
                    f"found {update.shape}"
                )
            if isinstance(update, LowRankUpdate):
                plain[module] = update
            else:
                found[module] = self._plainly(module, update)
        for block in factor_blocks(plain):
            found |= self._compiled(block)
        return found

    def _compiled(self, block: FactorBlock) -> dict[str, Row]:
        # On a CPU this is the same memory, where `jnp.asarray` would copy it.
        bits = jax.device_put(block.bits)
        count = _parts(block)
        self._on_device  # noqa: B018 – once, before several threads ask for it
        parts = [range(i, len(block.modules), count) for i in range(count)]
        if count == 1:
            return self._part(bits, block, parts[0])
        found: dict[str, Row] = {}
        for part in _pool().map(lambda part: self._part(bits, block, part), parts):
            found |= part
        return found

    def _part(self, bits: jax.Array, block: FactorBlock, part: range) -> dict[str, Row]:
        """Some of a block's modules, in one call of the compiled function."""
        mine: dict[Shape, list[int]] = {shape: [] for shape in self._on_device}
        for i in part:
            mine[self.layout.shapes[block.modules[i]]].append(i)
        if on_gpu := jax.default_backend() != "cpu":
            mine = {shape: own for shape, own in mine.items() if own}
        projected = project(
            bits,
            {shape: self._on_device[shape] for shape in mine},
            {shape: self._work(shape, own, block) for shape, own in mine.items()},
            dtype=block.dtype,
            rank=block.rank,
            scaling=self.scaling,
            how="batch" if on_gpu else "loop",
        )
        rows: dict[str, Row] = {}
        for shape, own in mine.items():
            cores, scores = (np.asarray(x) for x in projected[shape])
            for row, i in enumerate(own):
                rows[block.modules[i]] = Row(cores[row], scores[row])
        return rows

    def _work(self, shape: Shape, own: Sequence[int], block: FactorBlock) -> Work:
        size = len(self.layout.members[shape])

        def padded(values: Sequence[int] | Sequence[float], dtype: str) -> np.ndarray:
            array = np.zeros(size, dtype)
            array[: len(own)] = [values[i] for i in own]
            return array

        place = np.zeros(size, "i4")
        place[: len(own)] = [self.layout.rows[block.modules[i]] for i in own]
        return Work(
            np.array(len(own), "i4"),
            place,
            padded(block.up, "i4"),
            padded(block.down, "i4"),
            padded(block.scale, "f4"),
        )

    def _plainly(self, module: str, update: Update) -> Row:
        """The same in NumPy, for updates that know no shorter way than `matmul`."""
        group = self.groups[self.layout.shapes[module]]
        row = self.layout.rows[module]
        left, right, mean, components = (np.asarray(x[row], "f4") for x in group)
        core = np.asarray(sketch(update, left, right), "f4").reshape(-1)
        factor = scale_factor(core, self.scaling)
        return Row(core, (core * factor - mean) @ components)

    @cached_property
    def _on_device(self) -> dict[Shape, Group]:
        # On a CPU aligned arrays stay where they are, where `jnp.asarray` would copy.
        return {s: Group(*map(jax.device_put, g)) for s, g in self.groups.items()}


def _parts(block: FactorBlock) -> int:
    if len(block.bits) < _WORTH_SHARING or jax.default_backend() != "cpu":
        return 1
    return min(_cores(), _MOST_PARTS, len(block.modules))


def _cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_MOST_PARTS, thread_name_prefix="lorajax-project")
