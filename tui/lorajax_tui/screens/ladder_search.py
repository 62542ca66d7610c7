"""Looking for duplicates beside a screen: a process of its own that can be stopped.

Files and weights are compared first, which comes at once, then the updates, which reads
files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.worker import Worker, WorkerState

from lorajax.errors import LorajaxError
from lorajax_tui.messages import (
    LadderFailed,
    LadderFound,
    LadderProgressed,
    TaskFailed,
)
from lorajax_tui.screens.browse import Browse
from lorajax_tui.widgets.index_strip import IndexStrip

if TYPE_CHECKING:
    from lorajax.service.asking import Question
    from lorajax.service.likeness.duplicates import Ladder

_DEPTHS = (("--level", "1", "--level", "2"), ())


class LadderSearch(Browse):
    """A screen with an `IndexStrip`; subclasses show what is found.

    Attributes:
      ladder: what is known, None before anything is.
      is_whole: whether updates were compared too.
      is_searching, is_stopped: whether it is still looked for; by a person's wish not.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "stop", "Stop"),
        Binding("r", "search", "Search again", show=False),
    ]
    ladder: Ladder | None = None
    is_whole = is_searching = is_stopped = False
    _question: Question | None = None

    def show_ladder(self) -> None:
        """Shows what is known now."""
        raise NotImplementedError

    def show_failure(self, error: LorajaxError) -> None:
        """Shows why nothing could be found."""
        raise NotImplementedError

    def action_search(self) -> None:
        """Looks for duplicates anew."""
        if self.is_searching:
            return
        self.ladder = None
        self.is_whole = self.is_stopped = False
        self._set_searching(True)
        self.query_one(IndexStrip).begin("comparing files and weights …")
        self._search()
        self.show_ladder()

    def _set_searching(self, is_searching: bool) -> None:
        self.is_searching = is_searching
        self.query_one(IndexStrip).display = is_searching
        self.refresh_bindings()

    @work(thread=True, exclusive=True, group="duplicates", exit_on_error=False)
    def _search(self) -> None:
        from lorajax.service.likeness.ladder_documents import read_ladder

        library = str(self.lorajax.library)
        try:
            for levels in _DEPTHS:
                words = ["duplicates", "--library", library, *levels]
                self._question = question = self.lorajax.question(words)
                if self.is_stopped:
                    question.halt()
                for progress in question.progress():
                    self.post_message(LadderProgressed(progress))
                found = read_ladder(question.answer())
                self.post_message(LadderFound(found, is_whole=not levels))
        except LorajaxError as error:
            self.post_message(LadderFailed(error))

    @on(LadderProgressed)
    def _progressed(self, message: LadderProgressed) -> None:
        if self.is_searching:
            self.query_one(IndexStrip).show(message.progress)

    @on(LadderFound)
    def _found(self, message: LadderFound) -> None:
        self.ladder, self.is_whole = message.ladder, message.is_whole
        if message.is_whole:
            self._set_searching(False)
        self.show_ladder()

    @on(LadderFailed)
    def _failed(self, message: LadderFailed) -> None:
        self._set_searching(False)
        if self.is_stopped or self.ladder is not None:
            self.show_ladder()
        if self.ladder is None and not self.is_stopped:
            self.show_failure(message.error)
        elif not self.is_stopped:  # what was found stays to be seen
            self.post_message(TaskFailed(message.error))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.worker.group == "duplicates" and event.state is WorkerState.ERROR:
            self._set_searching(False)
            if self.ladder is not None:
                self.show_ladder()
            else:
                hint = "r looks again"
                self.show_failure(LorajaxError(str(event.worker.error), hint))

    def action_stop(self) -> None:
        """Stops looking; what was found so far stays."""
        self.is_stopped = True
        if self._question is not None:
            self._question.halt()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only a running search can be stopped."""
        return self.is_searching if action == "stop" else True

    def on_unmount(self) -> None:
        self.action_stop()
