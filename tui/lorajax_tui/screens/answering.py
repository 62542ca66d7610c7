"""Writing what a person answers, and finding what to ask next, beside a screen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on, work
from textual.worker import Worker, WorkerState

from lorajax.errors import LorajaxError
from lorajax.service.collection import library as service
from lorajax.service.collection.previews import preview
from lorajax.service.labels import answers as answer_service
from lorajax.service.labels import human_triplets, raters
from lorajax.service.likeness import mapping
from lorajax_tui.messages import (
    AnswerRefused,
    AnswerWritten,
    QuestionFailed,
    QuestionLoaded,
    TaskFailed,
)
from lorajax_tui.screens.frame import Frame

if TYPE_CHECKING:
    from lorajax.service.labels.human_triplets import Question


class Answering(Frame):
    """A screen that asks; one answer at a time, so that none knows less than the last.

    Attributes:
      question: what is asked now.
      answered: in this session, by who answers now.
      is_busy: an answer is being written or a question looked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.question: Question | None = None
        self.answered: list[Question] = []
        self.is_busy = self._is_stale = False

    def show_question(self, message: QuestionLoaded) -> None:
        """Shows what is asked now, or that nothing is left to ask."""
        raise NotImplementedError

    def show_failure(self, error: LorajaxError) -> None:
        """Shows why nothing can be asked."""
        raise NotImplementedError

    @property
    def file(self) -> Path:
        """Where the answers of who answers now are kept."""
        return raters.rater_file(self.lorajax.library, self.lorajax.state.rater)

    def ask_on(self) -> None:
        """Finds what to ask, anew where it is being looked for."""
        if self.is_busy:
            self._is_stale = True
        else:
            self.write(lambda file: None, self.answered)

    def write(
        self,
        write: Callable[[Path], None],
        answered: list[Question],
        again: Question | None = None,
    ) -> None:
        """Writes to the file of who answers now, then finds what to ask next.

        Args:
          answered: in this session, once it is written.
          again: what to ask next; None is what was not asked yet.
        """
        self.is_busy = True
        self._ask(self.file, write, answered, again)

    @work(thread=True, group="ask", exit_on_error=False)
    def _ask(
        self,
        file: Path,
        write: Callable[[Path], None],
        answered: list[Question],
        again: Question | None,
    ) -> None:
        try:
            write(file)
        except LorajaxError as error:
            self.post_message(AnswerRefused(error))
            return
        self.post_message(AnswerWritten(file, answered))
        library, space = self.lorajax.library, self.lorajax.state.label_space
        try:
            known = answer_service.read_answers(file)
            names = {space.name for space in mapping.spaces(library)}
            chosen = space if space in names else None
            found = again or human_triplets.next_question(library, known, chosen)
            self.post_message(QuestionLoaded(found, known, self._cards(found)))
        except LorajaxError as error:
            self.post_message(QuestionFailed(error))

    def _cards(self, question: Question | None) -> tuple:
        if question is None:
            return ()
        keys = (question.anchor.key, question.left.key, question.right.key)
        entries = [service.entry(self.lorajax.library, key) for key in keys]
        return tuple((entry, entry and preview(entry)) for entry in entries)

    @on(AnswerWritten)
    def _written(self, message: AnswerWritten) -> None:
        if message.file == self.file:  # nobody takes back what another has said
            self.answered = message.answered

    @on(AnswerRefused)
    def _refused(self, message: AnswerRefused) -> None:
        self._end()
        self.post_message(TaskFailed(message.error))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.worker.group == "ask" and event.state is WorkerState.ERROR:
            self._end()

    def _end(self) -> bool:
        """Whether what was at work is still wanted; else it is done anew."""
        self.is_busy, is_stale = False, self._is_stale
        self._is_stale = False
        if is_stale:
            self.ask_on()
        return not is_stale

    @on(QuestionLoaded)
    def _loaded(self, message: QuestionLoaded) -> None:
        if self._end():
            self.question = message.question
            self.show_question(message)

    @on(QuestionFailed)
    def _failed(self, message: QuestionFailed) -> None:
        if self._end():
            self.question = None
            self.show_failure(message.error)
