"""Comparisons by a person: which of two LoRAs is more like a third?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static
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
from lorajax_tui.screens.raters import RatersScreen
from lorajax_tui.widgets.card import Card
from lorajax_tui.widgets.notice import Notice
from lorajax_tui.words import count, safe

if TYPE_CHECKING:
    from pathlib import Path

    from lorajax.service.labels.answers import Answers
    from lorajax.service.labels.human_triplets import Question

_NAME = 24


class LabelScreen(Frame):
    """The anchor above, the two candidates below; one key answers."""

    mode = "label"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "choose(True)", "Left", key_display="←"),
        Binding("right,l", "choose(False)", "Right", key_display="→"),
        Binding("space", "skip", "Skip"),
        Binding("u,backspace", "undo", "Undo", key_display="u"),
        Binding("b", "space", "Base model"),
        Binding("a", "raters", "Raters"),
        Binding("n", "names", "Names", show=False),
        Binding("r", "reload", "Reload", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.question: Question | None = None
        self.answered: list[Question] = []
        self._busy = self._is_stale = False
        self._named = True
        self._loaded: QuestionLoaded | None = None

    def body(self) -> Iterable[Widget]:
        yield ContentSwitcher(
            Notice(id="notice"),
            Vertical(
                Horizontal(Card(id="anchor", classes="-anchor"), id="anchor-line"),
                Static("Which one is more like it?", id="how"),
                Horizontal(Card(id="left"), Card(id="right"), id="candidates"),
                id="asked",
            ),
            initial="notice",
        )
        yield Static(id="label-status")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#left", Card).border_subtitle = "←"
        self.query_one("#right", Card).border_subtitle = "→"
        self.query_one("#notice", Notice).say(
            "Looking for what to ask …", kind="loading"
        )
        self.watch(self.app, "collection", self.action_reload, init=False)
        self._next()

    @property
    def file(self) -> Path:
        """Where the answers of who answers now are kept."""
        return raters.rater_file(self.lorajax.library, self.lorajax.state.rater)

    def action_reload(self) -> None:
        """Asks anew, of the library as it is now."""
        self._next()

    def _next(self) -> None:
        """Finds what to ask; one at a time, so that none knows less than the last."""
        if self._busy:
            self._is_stale = True
        else:
            self._work(lambda file: None, self.answered)

    def action_choose(self, left: bool) -> None:
        """Writes the answer, and asks on."""
        question = self.question
        if question is None or self._busy:
            return
        nearer, other = question.left, question.right
        if not left:
            nearer, other = other, nearer
        names = (question.anchor.name, nearer.name, other.name)
        write = answer_service.write_answer
        self._work(lambda file: write(file, *names), [*self.answered, question])

    def action_skip(self) -> None:
        """Passes over a comparison, for good."""
        if (question := self.question) is None or self._busy:
            return
        names = (question.anchor.name, question.left.name, question.right.name)
        write = answer_service.write_skip
        self._work(lambda file: write(file, *names), [*self.answered, question])

    def action_undo(self) -> None:
        """Takes the last answer of this session back, and asks it again."""
        if self._busy:
            return
        if not self.answered:
            return self.notify("Nothing was answered since the start.", markup=False)
        *earlier, last = self.answered
        take_back = answer_service.take_back
        self._work(lambda file: take_back(file, last.identity), earlier, last)

    def action_names(self) -> None:
        """Hides the names, so that pictures alone speak; or shows them again."""
        self._named = not self._named
        if self._loaded is not None:
            self._show_cards(self._loaded)

    def action_raters(self) -> None:
        """Shows how far raters agree, and asks who answers."""
        dialog = RatersScreen(self.lorajax.state.rater)
        self.app.push_screen(dialog, self._change_rater)

    def _change_rater(self, rater: str | None) -> None:
        if rater is not None and rater != self.lorajax.state.rater:
            self.lorajax.remember(rater=rater)
            self.answered = []
            self._next()

    def action_space(self) -> None:
        """Asks about the next base model."""
        self._choose_space()

    @work(thread=True, exclusive=True, group="space", exit_on_error=False)
    def _choose_space(self) -> None:
        try:
            names = [space.name for space in mapping.spaces(self.lorajax.library)]
        except LorajaxError as error:
            self.post_message(TaskFailed(error))
            return
        known = self.lorajax.state.label_space
        place = names.index(known) if known in names else 0
        if names:
            following = names[(place + 1) % len(names)]
            self.app.call_from_thread(self.lorajax.remember, label_space=following)
            self.app.call_from_thread(self._next)

    def _work(
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
        self._busy = True
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
        self._busy, is_stale = False, self._is_stale
        self._is_stale = False
        if is_stale:
            self._next()
        return not is_stale

    @on(QuestionLoaded)
    def _show(self, message: QuestionLoaded) -> None:
        if not self._end():
            return
        self._loaded = message
        self.question = message.question
        self._show_status(message.answers)
        if self.question is None:
            return self._say(
                "Nothing is left to ask",
                "Every comparison of this space was answered or skipped.",
                "Press b for another base model.",
            )
        self.query_one(ContentSwitcher).current = "asked"
        self._show_cards(message)

    def _show_cards(self, message: QuestionLoaded) -> None:
        for name, card in zip(("anchor", "left", "right"), message.cards, strict=False):
            self.query_one(f"#{name}", Card).show(*card, self._named)

    def _show_status(self, answers: Answers) -> None:
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(count(len(answers.triplets), "answer"), "bold")
        if answers.skipped:
            text.append(f" · {len(answers.skipped):,} skipped", "dim")
        text.append(f" · {safe(str(answers.file))}", "dim")
        self.query_one("#label-status", Static).update(text)

    @on(QuestionFailed)
    def _show_failure(self, message: QuestionFailed) -> None:
        if not self._end():
            return
        self.question = None
        self._say("Nothing to ask", message.error.message, message.error.hint)

    def _say(self, title: str, text: str, hint: str) -> None:
        self.query_one(ContentSwitcher).current = "notice"
        self.query_one("#notice", Notice).say(title, text, hint)

    @on(Card.Clicked)
    def _card_clicked(self, message: Card.Clicked) -> None:
        if message.card in ("left", "right"):
            self.action_choose(message.card == "left")
