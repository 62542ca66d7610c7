"""Runs and what they measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.message import Message

if TYPE_CHECKING:
    from lorajax.errors import LorajaxError
    from lorajax.service.learning.configs import ConfigChoice
    from lorajax.service.learning.curves import Curves
    from lorajax.service.learning.measured import Measured
    from lorajax.service.learning.runs import Run


@dataclass
class RunsListed(Message):
    """The runs as they are now; only the newest list matters.

    `asked` counts the lists that were asked for, this one included.
    """

    runs: list[Run]
    asked: int

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

    config: ConfigChoice
    base: dict[str, str]
    values: dict[str, str]


@dataclass
class LogRead(Message):
    """The last words of a run's output."""

    words: str


@dataclass
class RunStarted(Message):
    """A run has been started in this folder."""

    path: Path


@dataclass
class RunContinued(Message):
    """The run in this folder goes on."""

    path: Path


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
