"""Two LoRAs module by module, and where in the network one of them is strong.

Both read the weights again, so they are for few LoRAs at a time; neither needs jax.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lorajax.errors import LibraryError
from lorajax.library import Entry, Library, find
from lorajax.projection.agreement import ModulePair, norm_of, pair_modules
from lorajax.service.likeness.reading import read_entry

# Numbered blocks become ranges of blocks until so few are left.
MAX_BLOCKS = 24


@dataclass(frozen=True)
class Strength:
    """How strong an update is in one block.

    Attributes:
      norm: the Frobenius norm of the block's updates.
      share: of the squared norm of the whole update.
    """

    block: str
    norm: float
    share: float


@dataclass(frozen=True)
class Comparison:
    """Two LoRAs of one base model.

    Attributes:
      cosine: of the whole updates, modules weighing as much as their updates do.
      mean_cosine: of the modules that both change, weighing all alike; None where
        they share none.
      modules: in the order of the base model.
    """

    entries: tuple[Entry, Entry]
    cosine: float
    mean_cosine: float | None
    modules: tuple[ModulePair, ...]


def compare(
    path: Path | None,
    first: str,
    second: str,
    is_over: Callable[[], bool] = lambda: False,
) -> Comparison:
    """Compares two LoRAs of the library, by content key, path, or name.

    Args:
      is_over: asked between the two files: whether nobody waits any longer.

    Raises:
      LorajaxError: where they are of two base models, where a file is gone, has
        changed since it was indexed, cannot be read, or is one of tier `operator`,
        and where nobody waits any longer.
    """
    with Library.open(path, create=False) as library:
        a, b = (library.entry(name) or find(library, name) for name in (first, second))
    # Told before two files are read for nothing.
    if a.facts.base_model != b.facts.base_model:
        raise LibraryError(
            f"expected two LoRAs of one base model, found {a.facts.base_model} and "
            f"{b.facts.base_model}",
            "compare LoRAs of one base model",
        )
    read = read_entry(a)
    if is_over():
        raise LibraryError("nobody waits for the comparison any longer")
    pairs = pair_modules(read, read_entry(b))
    norms = [math.hypot(*(pair.norms[side] for pair in pairs)) for side in (0, 1)]
    products = [(p.cosine or 0.0) * p.norms[0] * p.norms[1] for p in pairs]
    cosines = [pair.cosine for pair in pairs if pair.cosine is not None]
    return Comparison(
        (a, b),
        sum(products) / (norms[0] * norms[1]),
        sum(cosines) / len(cosines) if cosines else None,
        pairs,
    )


def strengths(path: Path | None, key: str) -> tuple[Strength, ...]:
    """Where a LoRA is strong: the norm of every block of its network, in order.

    Raises:
      LorajaxError: where its file is gone, has changed, cannot be read, or is one of
        tier `operator`.
    """
    with Library.open(path, create=False) as library:
        entry = library.entry(key) or find(library, key)
    return _strengths(entry)


@lru_cache(maxsize=512)
def _strengths(entry: Entry) -> tuple[Strength, ...]:
    updates = read_entry(entry).updates
    return blocks({module: norm_of(update) for module, update in updates.items()})


def blocks(norms: Mapping[str, float], most: int = MAX_BLOCKS) -> tuple[Strength, ...]:
    """Norms of modules added up by block; of long stacks several blocks together."""
    stacks: dict[str, dict[int | None, list[float]]] = {}
    for module, norm in norms.items():
        stack, number = block_of(module)
        stacks.setdefault(stack, {}).setdefault(number, []).append(norm)
    step = 1
    while sum(-(-len(of) // step) for of in stacks.values()) > max(most, len(stacks)):
        step += 1
    total = math.hypot(*norms.values())
    found = []
    for stack, numbers in stacks.items():
        known = sorted(numbers, key=lambda n: -1 if n is None else n)
        for start in range(0, len(known), step):
            part = known[start : start + step]
            norm = math.hypot(*(value for n in part for value in numbers[n]))
            share = (norm / total) ** 2 if total else 0.0
            found.append(Strength(_block_name(stack, part), norm, share))
    return tuple(found)


def block_of(module: str) -> tuple[str, int | None]:
    """The stack of blocks that a module stands in, and the block's number in it.

    `unet.down_blocks.1.attentions.0.proj_in` stands in block 1 of `unet.down_blocks`;
    a module without a number is a part of its component, which has no number.
    """
    parts = module.split(".")
    place = next((i for i, part in enumerate(parts) if part.isdecimal()), None)
    if place is None or "mid_block" in parts[:place]:
        return ".".join(parts[:2]), None
    return ".".join(parts[:place]), int(parts[place])


def _block_name(stack: str, numbers: Sequence[int | None]) -> str:
    first, last = numbers[0], numbers[-1]
    if first is None:
        return stack
    return f"{stack}.{first}" if first == last else f"{stack}.{first}–{last}"


def comparison_document(found: Comparison) -> dict[str, Any]:
    """A comparison as a plain document."""
    return {
        "loras": [
            {"name": e.name, "path": e.path, "tier": e.facts.tier, "norm": e.facts.norm}
            for e in found.entries
        ],
        "cosine": found.cosine,
        "mean_cosine": found.mean_cosine,
        "modules": [asdict(pair) for pair in found.modules],
    }
