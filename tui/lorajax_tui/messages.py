"""Every message between workers and screens.

Workers call the service and post one of these; screens render what they carry.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.message import Message

if TYPE_CHECKING:
    import numpy as np

    from lorajax.errors import LorajaxError
    from lorajax.service.answers import Answers
    from lorajax.service.comparing import Comparison, Strength
    from lorajax.service.curves import Curves
    from lorajax.service.duplicates import Ladder
    from lorajax.service.explaining import Explanation
    from lorajax.service.grouping import Grouping
    from lorajax.service.human_triplets import Question
    from lorajax.service.labelling import Labelled
    from lorajax.service.library import Entry, Refusal
    from lorajax.service.mapping import Space, SpaceMap
    from lorajax.service.measured import Measured
    from lorajax.service.progress import Progress
    from lorajax.service.runs import Run
    from lorajax.service.searching import Results
    from lorajax_tui.collection import Collection
    from lorajax_tui.widgets.trail import Step


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
class StrengthsLoaded(Message):
    """Where a LoRA is strong."""

    key: str
    strengths: tuple[Strength, ...]


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
class LabelsRead(Message):
    """What is said of one LoRA; `complaint` where a change was refused."""

    labelled: Labelled | None = None
    complaint: str = ""


@dataclass
class ConditionsFitted(Message):
    """Which LoRAs fit the conditions of a filter; `error` where none could be asked."""

    where: str
    keys: frozenset[str] = frozenset()
    error: LorajaxError | None = None


@dataclass
class NeighboursWanted(Message):
    """A person wants to see what is near a LoRA."""

    key: str
    name: str


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
    """A space has been mapped."""

    map: SpaceMap
    spaces: list[Space]
    groupings: list[Grouping]


@dataclass
class MapFailed(Message):
    """There is no map to show; `error` says why."""

    error: LorajaxError


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
class CopiesFound(Message):
    """Other LoRAs of the library that are the same update as one."""

    key: str
    copies: list[Entry]


@dataclass
class QuestionLoaded(Message):
    """The comparison to ask next; None where nothing is left to ask.

    `cards` are the anchor, the left and the right one, with their pictures.
    """

    question: Question | None
    answers: Answers
    cards: tuple[tuple[Entry | None, np.ndarray | None], ...]


@dataclass
class QuestionFailed(Message):
    """There is nothing to ask, or an answer was not written; `error` says why."""

    error: LorajaxError


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
    """The files that could not be read."""

    refused: list[Refusal]


@dataclass
class RunsListed(Message):
    """The runs as they are now; only the newest list matters."""

    runs: list[Run]

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, RunsListed)


@dataclass
class RunRead(Message):
    """One run with its curves; only the newest reading matters."""

    run: Run
    curves: Curves
    log: str
    results: dict[str, Any]

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, RunRead) and message.run.path == self.run.path


@dataclass
class RunsRead(Message):
    """Several runs with their curves, in the order in which they were marked."""

    runs: list[RunRead]

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, RunsRead)


@dataclass
class FormReady(Message):
    """The settings of a configuration have been read.

    `base` are its own, `values` those after the overrides.
    """

    name: str
    base: dict[str, str]
    values: dict[str, str]


@dataclass
class LogRead(Message):
    """The last words of a run's output."""

    words: str


@dataclass
class MeasuredListed(Message):
    """The runs and studies that measured something."""

    measured: list[Measured]


@dataclass
class Evaluated(Message):
    """The table that was asked for: of what, which experiment, against which method."""

    asked: tuple[Path, str, str | None]
    results: dict[str, Any]


@dataclass
class EvaluateFailed(Message):
    """There is no such table; `error` says why."""

    asked: tuple[Path, str, str | None]
    error: LorajaxError


@dataclass
class ReportWritten(Message):
    """A page about a run or a study has been written."""

    path: Path


@dataclass
class RunStarted(Message):
    """A run has been started, or continued, in this folder."""

    path: Path


@dataclass
class TaskFailed(Message):
    """Something that a person asked for was refused."""

    error: LorajaxError
