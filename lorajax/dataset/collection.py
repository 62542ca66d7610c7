"""A folder of LoRAs → the collection that a job works on."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorajax.adapters.adapter import (
    Adapter,
    build_adapter,
    check_vector,
    name_and_build,
)
from lorajax.dataset.tags import read_tags
from lorajax.errors import DatasetError, LorajaxError
from lorajax.formats.safetensors_file import open_tensor_file
from lorajax.formats.scan import Refusal, scan
from lorajax.formats.text import shown
from lorajax.projection.preparing import CollectionTooLarge

# Below this there is no PCA worth the name: such collections live in the base space.
MIN_LORAS = 8


@dataclass(frozen=True)
class Member:
    """One LoRA of a collection.

    Attributes:
      content_key: of its weights, as the library uses it.
      tags: tag → how often it was given; empty where none are known.
      kept: the LoRA itself, where the projection holds it in memory.
    """

    path: Path
    name: str
    base_model: str
    content_key: str
    tags: dict[str, float]
    kept: Adapter | None


@dataclass(frozen=True)
class Collection:
    """LoRAs of one base model, in the order of their paths.

    Attributes:
      folder: where label files are looked for.
      refused: files that could not be read, with reasons.
      other_bases: how many LoRAs of other base models were left out.
    """

    folder: Path
    base_model: str
    members: tuple[Member, ...]
    refused: tuple[Refusal, ...]
    other_bases: dict[str, int]

    @property
    def names(self) -> list[str]:
        return [member.name for member in self.members]

    @property
    def content_keys(self) -> list[str]:
        return [member.content_key for member in self.members]

    @property
    def adapters(self) -> Sequence[Adapter]:
        """The LoRAs; those that are not in memory are read when asked for."""
        return _Adapters(self.members)


class _Adapters(Sequence[Adapter]):
    def __init__(self, members: Sequence[Member]) -> None:
        self.members = members

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, i: Any) -> Any:
        member = self.members[i]
        if member.kept is not None:
            return member.kept
        adapter = build_adapter(open_tensor_file(member.path))
        if adapter.content_key != member.content_key:
            raise DatasetError(
                f"{shown(member.path)}: expected the LoRA that was read before, found "
                "another one: the file changed meanwhile",
                "start again when nothing writes to the folder",
            )
        return adapter


def read_collection(
    folder: Path,
    base_model: str | None,
    keep: Callable[[Adapter], Adapter | None],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Collection:
    """Reads all LoRAs of a folder, and keeps of each what a projection needs.

    Args:
      base_model: whose LoRAs to use; None for the base model with most of them.

    Raises:
      DatasetError: for a missing or empty folder, or fewer than `MIN_LORAS` LoRAs of
        one base model.
    """
    if not folder.is_dir():
        raise DatasetError(
            f"{folder}: expected a folder of LoRA files, found "
            f"{'a file' if folder.exists() else 'nothing'}",
            "set collection.path to a folder, or leave it out for the demo collection",
        )
    found = scan([folder])
    members, refused = [], list(found.refused)
    for done, path in enumerate(found.files):
        try:
            members.append(_read_member(path, keep))
        except CollectionTooLarge:
            raise
        except LorajaxError as error:
            refused.append(Refusal(path, error.message, error.hint))
        on_progress(done + 1, len(found.files))
    return _of_one_base(folder, base_model, members, tuple(refused))


def _read_member(path: Path, keep: Callable[[Adapter], Adapter | None]) -> Member:
    file = open_tensor_file(path)
    adapter = name_and_build(file)
    check_vector(adapter)
    return Member(
        path=path,
        name=adapter.name,
        base_model=adapter.base_model,
        content_key=adapter.content_key,
        tags=read_tags(file),
        kept=keep(adapter),
    )


def _of_one_base(
    folder: Path,
    base_model: str | None,
    members: Sequence[Member],
    refused: tuple[Refusal, ...],
) -> Collection:
    counts = Counter(member.base_model for member in members)
    chosen = base_model or min(
        counts, key=lambda base: (-counts[base], base), default=""
    )
    if counts[chosen] < MIN_LORAS:
        raise DatasetError(*_too_few(folder, base_model, counts, len(refused)))
    others = {base: count for base, count in counts.items() if base != chosen}
    kept = tuple(member for member in members if member.base_model == chosen)
    return Collection(folder, chosen, kept, refused, others)


def _too_few(
    folder: Path, base_model: str | None, counts: Counter[str], refused: int
) -> tuple[str, str]:
    whose = f"of {base_model}" if base_model else "of one base model"
    found = ", ".join(f"{n} of {base}" for base, n in counts.most_common()) or "none"
    message = (
        f"{folder}: expected at least {MIN_LORAS} LoRAs {whose} to train on, "
        f"found {found} ({refused} files refused)"
    )
    return message, f"'lorajax index {folder}' searches any number without training"
