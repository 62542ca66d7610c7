"""The layout of a SuperLoRA file: one metadata entry that says what its tensors mean.

`superlora` = {"version": 1, "groups": G, "K": K, "M": M, "shuffle_seed": int or null,
"projection": null, "scale": number, "modules": [[name, [out, in, …]], …]}. The seed,
the projection and the scale may be left out: null, null and 1. Nothing in it is
trusted: every field is checked before a tensor is read.

References:
  `lorajax.adapters.superlora` has the formula.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lorajax.errors import NamingError
from lorajax.naming.table import Module
from lorajax.naming.words import printable

ENTRY = "superlora"
VERSION = 1
LARGEST_SCALE = 1e6
_LONGEST = 4 * 2**20
_MOST_MODULES = 20_000
_LONGEST_NAME = 256
_MOST_AXES = 5
_LONGEST_AXIS = 2**24
_MOST_GROUPS = 20_000
_MOST_FACTORS = 8
_WAYS = range(2, 9)
_SEEDS = range(2**63)
_NEEDED = {"version", "groups", "K", "M", "modules"}
_OPTIONAL = {"shuffle_seed", "projection", "scale"}


@dataclass(frozen=True)
class Layout:
    """How a SuperLoRA's tensors make up the updates of its modules.

    Attributes:
      groups: G, the number of parts of the joint vector.
      factors: K, the tensors whose Kronecker product makes a group.
      ways: M, the axes of each of them.
      scale: multiplies every value.
      modules: names and weight shapes, in the order in which they are joined.
      shuffle_seed: of the permutations, or None where values lie in order.
    """

    groups: int
    factors: int
    ways: int
    scale: float
    modules: tuple[Module, ...]
    shuffle_seed: int | None = None

    @property
    def total(self) -> int:
        """N, the number of values of all modules."""
        return sum(math.prod(module.shape) for module in self.modules)

    def dumps(self) -> str:
        """The metadata entry."""
        return json.dumps(
            {
                "version": VERSION,
                "groups": self.groups,
                "K": self.factors,
                "M": self.ways,
                "shuffle_seed": self.shuffle_seed,
                "projection": None,
                "scale": self.scale,
                "modules": [[m.name, list(m.shape)] for m in self.modules],
            }
        )


def read_layout(metadata: Mapping[str, str]) -> Layout:
    """The layout that a file's metadata describe.

    Raises:
      NamingError: for the first field that is missing or makes no sense.
    """
    fields = _fields(metadata.get(ENTRY))
    if fields["version"] != VERSION or type(fields["version"]) is not int:
        raise _wrong("version 1", fields["version"])
    if fields.get("projection") is not None:
        raise NamingError(
            "expected SuperLoRA without a projection, found one, which is recognised "
            "but not supported yet: its values are mixed by a seeded transform",
            "train it with projection null",
        )
    seed = fields.get("shuffle_seed")
    return Layout(
        groups=_whole(fields["groups"], "groups", range(1, _MOST_GROUPS + 1)),
        factors=_whole(fields["K"], "K", range(1, _MOST_FACTORS + 1)),
        ways=_whole(fields["M"], "M", _WAYS),
        scale=_scale(fields.get("scale", 1)),
        modules=_modules(fields["modules"]),
        shuffle_seed=None if seed is None else _whole(seed, "shuffle_seed", _SEEDS),
    )


def _fields(text: str | None) -> dict[str, Any]:
    """The entry as a dictionary that has all fields and no others."""
    if text is None:
        raise NamingError(
            f"expected the metadata entry {ENTRY} beside superlora tensors, found none",
            "save the file with its metadata",
        )
    try:
        fields = json.loads(text) if len(text) <= _LONGEST else None
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise _wrong("a JSON object of at most 4 MiB", text)
    if missing := sorted(_NEEDED - fields.keys()):
        raise _wrong(f"the field {missing[0]}", "none")
    if strange := sorted(fields.keys() - _NEEDED - _OPTIONAL):
        raise _wrong("only known fields", strange[0])
    return fields


def _whole(value: Any, what: str, allowed: range) -> int:
    if type(value) is int and value in allowed:
        return value
    raise _wrong(f"{what} from {allowed.start} to {allowed.stop - 1}", value)


def _scale(value: Any) -> float:
    # Comparing first keeps huge integers from overflowing; NaN fails it as well.
    if type(value) in (int, float) and -LARGEST_SCALE < value < LARGEST_SCALE:
        return float(value)
    raise _wrong(f"a finite scale below {LARGEST_SCALE:,.0f}", value)


def _modules(value: Any) -> tuple[Module, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= _MOST_MODULES:
        raise _wrong(f"a list of 1 to {_MOST_MODULES:,} modules", value)
    modules = tuple(_module(entry) for entry in value)
    names = {module.name for module in modules}
    if len(names) != len(modules):
        raise _wrong("every module once", f"{len(modules) - len(names)} twice")
    return modules


def _module(entry: Any) -> Module:
    match entry:
        case [str(name), [int(), int(), *_] as shape] if (
            1 <= len(name) <= _LONGEST_NAME
            and name.isprintable()
            and len(shape) <= _MOST_AXES
            and all(type(n) is int and 1 <= n <= _LONGEST_AXIS for n in shape)
        ):
            return Module(name, tuple(shape))
    raise _wrong("modules as [name, [out, in, …]]", entry)


def _wrong(expected: str, found: Any) -> NamingError:
    nested = isinstance(found, list | dict)
    shown = f"a {type(found).__name__}" if nested else printable(repr(found))
    return NamingError(
        f"expected {expected} in the metadata entry {ENTRY}, found {shown}",
        "save the file again with a program that follows docs/reference.md",
    )
