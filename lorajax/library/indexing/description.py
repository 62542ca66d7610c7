"""What reading a file tells the library, and who reads and embeds."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from lorajax.library.entry import Facts, Told


@dataclass(frozen=True, slots=True)
class Description:
    """One file, read: its content key, its facts, and the update to embed.

    Attributes:
      header: BLAKE3 of the file's header.
      sketch: the small image of the whole update that duplicates are told by.
    """

    key: str
    facts: Facts
    adapter: Any
    header: str = ""
    told: Told = field(default_factory=Told)
    sketch: Float[np.ndarray, " s"] | None = None


@dataclass(frozen=True, slots=True)
class Heading:
    """What the header of a file tells in a few milliseconds."""

    name: str
    base_model: str
    format: str
    family: str
    modules_total: int


@dataclass(frozen=True, slots=True)
class Words:
    """What a file and its sidecars say, which changes while the weights do not."""

    told: Told = field(default_factory=Told)
    tags: tuple[str, ...] = ()


@runtime_checkable
class Describe(Protocol):
    """Reads a file; raises LorajaxError where it cannot be used."""

    def __call__(self, path: Path) -> Description: ...


@runtime_checkable
class Glance(Protocol):
    """Reads a file's header alone; raises LorajaxError where it cannot be used."""

    def __call__(self, path: Path) -> Heading: ...


@runtime_checkable
class ReadWords(Protocol):
    """Reads a file's header and sidecars, and none of its weights."""

    def __call__(self, path: Path) -> Words: ...


@runtime_checkable
class Embedder(Protocol):
    """Turns an update into its vector, in one space per base model."""

    def space(self, base_model: str) -> str: ...

    def embed(self, adapter: Any) -> Float[np.ndarray, " e"]: ...
