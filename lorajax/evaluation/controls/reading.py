"""A collection by module, held in memory or read in parts when it is too large.

Files come LoRA by LoRA, but kernels are sums over modules. A collection whose factors
fit is read once and stays; of a larger one only as many modules are held at a time as
fit, and the files are read once for each such group of modules.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.interface import Update
from lorajax.adapters.low_rank import LowRankUpdate

# Megabytes of factors that are held at a time.
HELD = 1024.0
# The updates of one module, one for each LoRA, None where it is absent.
Updates = list[Update | None]
OnProgress = Callable[[int, int], None]


@dataclass
class ByModule:
    """The updates of a collection, module by module.

    Attributes:
      adapters: the collection, which may lie on disk.
      groups: module names that are held at a time, in a fixed order.
      held: all updates, where one group is enough.
    """

    adapters: Sequence[Adapter]
    groups: list[list[str]]
    held: dict[str, Updates] | None

    def __len__(self) -> int:
        return sum(map(len, self.groups))

    def __iter__(self) -> Iterator[Updates]:
        """The updates of one module after another."""
        for names in self.groups:
            held = self.held or _read(self.adapters, names)
            for name in names:
                yield held[name]


def by_module(
    adapters: Sequence[Adapter],
    look: Callable[[int, Adapter], None] = lambda place, adapter: None,
    on_progress: OnProgress = lambda done, total: None,
) -> ByModule:
    """Reads every LoRA once, and keeps all of them if they fit.

    Args:
      look: called with every LoRA and its place, while it is there.
    """
    held: dict[str, Updates] | None = {}
    sizes: dict[str, float] = {}
    for i in range(len(adapters)):
        adapter = adapters[i]
        look(i, adapter)
        for name, update in adapter.updates.items():
            sizes[name] = sizes.get(name, 0.0) + _megabytes(update)
            if held is not None:
                held.setdefault(name, [None] * len(adapters))[i] = update
        if sum(sizes.values()) > HELD:
            held = None
        on_progress(i + 1, len(adapters))
    if held is not None:
        return ByModule(adapters, [sorted(held)], held)
    return ByModule(adapters, _grouped(sizes), None)


def _read(adapters: Sequence[Adapter], names: list[str]) -> dict[str, Updates]:
    held: dict[str, Updates] = {name: [None] * len(adapters) for name in names}
    for i in range(len(adapters)):
        updates = adapters[i].updates
        for name in held.keys() & updates.keys():
            held[name][i] = updates[name]
    return held


def _grouped(sizes: dict[str, float]) -> list[list[str]]:
    """As few groups as their order allows; a module larger than all room is alone."""
    groups: list[list[str]] = []
    room = 0.0
    for name in sorted(sizes):
        if not groups or sizes[name] > room:
            groups.append([])
            room = HELD
        groups[-1].append(name)
        room -= sizes[name]
    return groups


def _megabytes(update: Update) -> float:
    """What it takes in memory: at most as much as ΔW, where it is no plain LoRA."""
    if isinstance(update, LowRankUpdate):
        return (update.stored_up.nbytes + update.stored_down.nbytes) / 2**20
    return math.prod(update.shape) * 4 / 2**20
