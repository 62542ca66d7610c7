"""What is near, what is where on the map, what is a duplicate, what to compare."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    import numpy as np

    from lorajax.errors import LorajaxError
    from lorajax.service.collection.library import Entry
    from lorajax.service.labels.answers import Answers
    from lorajax.service.labels.human_triplets import Question
    from lorajax.service.labels.raters import Agreement
    from lorajax.service.likeness.comparing import Comparison
    from lorajax.service.likeness.duplicates import Ladder
    from lorajax.service.likeness.explaining import Explanation
    from lorajax.service.likeness.grouping import Grouping
    from lorajax.service.likeness.mapping import Space, SpaceMap
    from lorajax.service.likeness.searching import Results
    from lorajax.service.progress import Progress
    from lorajax_tui.widgets.trail import Step


@dataclass
class NeighboursWanted(Message):
    """A person wants to see what is near a LoRA."""

    key: str
    name: str


@dataclass
class NeighboursFound(Message):
    """What was found; `asked` is the step of the trail and the line of the filter."""

    asked: tuple[Step, str]
    results: Results


@dataclass
class NeighboursFailed(Message):
    """There are no neighbours to show; `error` says why."""

    asked: tuple[Step, str]
    error: LorajaxError


@dataclass
class Explained(Message):
    """What makes up the similarity of two LoRAs."""

    explanation: Explanation


@dataclass
class ExplainFailed(Message):
    """Nothing can be said of a similarity; `error` says why."""

    error: LorajaxError


@dataclass
class Compared(Message):
    """Two LoRAs have been compared; `pictures` are theirs."""

    comparison: Comparison
    pictures: tuple[np.ndarray | None, ...]


@dataclass
class CompareFailed(Message):
    """Two LoRAs cannot be compared; `error` says why."""

    error: LorajaxError


@dataclass
class MapWanted(Message):
    """A person wants to see where a LoRA lies on the map."""

    key: str


@dataclass
class MapLoaded(Message):
    """A space has been mapped; `asked` is the number of the question."""

    asked: int
    map: SpaceMap
    spaces: list[Space]
    groupings: list[Grouping]


@dataclass
class MapFailed(Message):
    """There is no map to show; `error` says why. Other spaces may have one."""

    asked: int
    error: LorajaxError
    spaces: list[Space]


@dataclass
class LadderProgressed(Message):
    """Duplicates are being looked for; only the newest progress matters."""

    progress: Progress

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, LadderProgressed)


@dataclass
class LadderFound(Message):
    """Duplicates; `is_whole` unless only files and weights were compared so far."""

    ladder: Ladder
    is_whole: bool


@dataclass
class LadderFailed(Message):
    """Looking for duplicates has failed, or was stopped."""

    error: LorajaxError


@dataclass
class QuestionLoaded(Message):
    """The comparison to ask next; None where nothing is left to ask.

    `cards` are the anchor, the left and the right one, with their pictures.
    """

    question: Question | None
    answers: Answers
    cards: tuple[tuple[Entry | None, np.ndarray | None], ...]


@dataclass
class AnswerWritten(Message):
    """A file has an answer more, or less; `answered` is what can be taken back now."""

    file: Path
    answered: list[Question]


@dataclass
class AnswerRefused(Message):
    """An answer was not written, or not taken back; `error` says why."""

    error: LorajaxError


@dataclass
class QuestionFailed(Message):
    """There is nothing to ask; `error` says why."""

    error: LorajaxError


@dataclass
class AgreementFound(Message):
    """How far raters agree."""

    agreement: Agreement


@dataclass
class AgreementNotFound(Message):
    """The answers of raters cannot be read; `error` says why."""

    error: LorajaxError
