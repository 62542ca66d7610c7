"""The facts about one file, as `lorajax inspect` reports them."""

import statistics
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from lorajax.adapters.adapter import Adapter, name_and_build
from lorajax.adapters.base_weights import with_base
from lorajax.adapters.fingerprint import fingerprint
from lorajax.formats.about import read_about
from lorajax.formats.hashes import hash_warnings
from lorajax.formats.previews import THUMBNAIL
from lorajax.formats.safetensors_file import open_tensor_file
from lorajax.formats.text import clean, plain

LONGEST_VALUE = 2000
# Entries of the metadata that are shown; trainers write about a hundred.
MAX_ENTRIES = 1000


@dataclass(frozen=True)
class ModuleCounts:
    """`total` = mapped + unmapped; dead modules are among the mapped ones."""

    total: int
    mapped: int
    dead: int
    unmapped: tuple[str, ...]


@dataclass(frozen=True)
class RankRange:
    """Smallest, middle and largest number of factor pairs over the mapped modules."""

    min: int
    median: float
    max: int


@dataclass(frozen=True)
class Inspection:
    """Everything that one file tells; all words in it are safe to print.

    `norm` and `fingerprint` are None for an operator, whose update is
    not known without base weights.
    `autov2` and `autov3` are the names that model sites shorten the two hashes to.
    `about` is what the file and its neighbours say, as `lorajax.formats.about` has it.
    """

    path: str
    name: str
    format: str
    family: str
    base_model: str
    evidence: str
    modules: ModuleCounts
    side: tuple[str, ...]
    rank: RankRange
    tier: str
    dtype: str
    content_key: str
    file_sha256: str
    weights_sha256: str
    autov2: str
    autov3: str
    norm: float | None
    fingerprint: str | None
    warnings: tuple[str, ...]
    metadata: dict[str, str] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """The same as plain values, for JSON."""
        return asdict(self)


def count_modules(adapter: Adapter) -> ModuleCounts:
    """How many modules have an update, and which lie outside the base model."""
    known = (adapter.updates, adapter.operators, adapter.dead)
    mapped = sum(map(len, known))
    unmapped = tuple(clean(name) for name in adapter.unmapped)
    return ModuleCounts(mapped + len(unmapped), mapped, len(adapter.dead), unmapped)


def rank_range(adapter: Adapter) -> RankRange:
    """The ranks that its factors are written at."""
    ranks = adapter.ranks.values()
    return RankRange(min(ranks), float(statistics.median(ranks)), max(ranks))


def inspect_file(path: str | Path, base: str | Path | None = None) -> Inspection:
    """Read a file once more than needed, and tell everything about it.

    Args:
      base: a safetensors file of the base model's weights, which makes the update of
        any family exact; None where they are not at hand.

    Raises:
      LorajaxError: as `read_adapter` and `with_base`.
    """
    file = open_tensor_file(path)
    adapter = name_and_build(file)
    if base is not None:
        adapter = with_base(adapter, open_tensor_file(base))
    about = read_about(file)
    file_sha256, weights_sha256 = file.file_sha256(), file.weights_sha256()
    return Inspection(
        path=str(file.path),
        name=adapter.name,
        format=adapter.format,
        family=adapter.family,
        base_model=adapter.base_model,
        evidence=adapter.evidence,
        modules=count_modules(adapter),
        side=tuple(clean(name) for name in adapter.side),
        rank=rank_range(adapter),
        tier=adapter.tier,
        dtype=adapter.dtype,
        content_key=adapter.content_key,
        file_sha256=file_sha256,
        weights_sha256=weights_sha256,
        autov2=file_sha256[:10],
        autov3=weights_sha256[:12],
        norm=None if adapter.operators else adapter.norm,
        fingerprint=None if adapter.operators else str(fingerprint(adapter)),
        warnings=(
            *adapter.warnings,
            *about.warnings,
            *hash_warnings(about, file_sha256, weights_sha256),
        ),
        metadata={
            clean(key, 100): plain(value, LONGEST_VALUE)
            for key, value in islice(file.metadata.items(), MAX_ENTRIES)
            if key != THUMBNAIL
        },
        about=about.as_dict(),
    )
