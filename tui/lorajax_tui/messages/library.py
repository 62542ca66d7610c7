"""The library, one LoRA of it, and indexing; and that something was refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.message import Message

if TYPE_CHECKING:
    import numpy as np

    from lorajax.errors import LorajaxError
    from lorajax.service.collection.library import Entry, Refusal
    from lorajax.service.likeness.comparing import Strength
    from lorajax.service.progress import Progress
    from lorajax_tui.collection import Collection


@dataclass
class PageLoaded(Message):
    """The first LoRAs by name have been read; the others are on their way."""

    page: Collection


@dataclass
class CollectionLoaded(Message):
    """The library has been read."""

    collection: Collection


@dataclass
class CollectionFailed(Message):
    """The library cannot be read; `error` says why and what to do."""

    error: LorajaxError


@dataclass
class EntryLoaded(Message):
    """What is known of one LoRA; None where it has left the library."""

    key: str
    entry: Entry | None


@dataclass
class PictureLoaded(Message):
    """The picture of a LoRA, RGB `[h, w, 3]`; None where it has none."""

    key: str
    pixels: np.ndarray | None


@dataclass
class CopiesFound(Message):
    """Other LoRAs of the library that are the same update as one."""

    key: str
    copies: list[Entry]


@dataclass
class StrengthsLoaded(Message):
    """Where a LoRA is strong."""

    key: str
    strengths: tuple[Strength, ...]


@dataclass
class StrengthsFailed(Message):
    """The weights of a LoRA that was only looked at cannot be read."""

    key: str
    error: LorajaxError


@dataclass
class ConditionsFitted(Message):
    """Which LoRAs fit the conditions of a filter; `error` where none could be asked.

    `keys` are None where there are no conditions: all fit.
    """

    where: str
    keys: frozenset[str] | None = None
    error: LorajaxError | None = None


@dataclass
class IndexProgressed(Message):
    """Indexing has come further; only the newest matters."""

    progress: Progress

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, IndexProgressed)


@dataclass
class IndexFinished(Message):
    """Indexing has ended with a report."""

    report: dict[str, Any]


@dataclass
class IndexFailed(Message):
    """Indexing has failed; what it did before is kept."""

    error: LorajaxError


@dataclass
class RefusedListed(Message):
    """The files that could not be read; `error` where that cannot be told."""

    refused: list[Refusal]
    error: LorajaxError | None = None


@dataclass
class TaskFailed(Message):
    """Something that a person asked for was refused."""

    error: LorajaxError
