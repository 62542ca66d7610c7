"""Comparisons by a person: which of two LoRAs is more like a third?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static

from lorajax.errors import LorajaxError
from lorajax.service.labels import answers as answer_service
from lorajax.service.likeness import mapping
from lorajax_tui.messages import QuestionLoaded, TaskFailed
from lorajax_tui.screens.answering import Answering
from lorajax_tui.screens.raters import RatersScreen
from lorajax_tui.widgets.card import Card
from lorajax_tui.widgets.notice import Notice
from lorajax_tui.words import count, safe

if TYPE_CHECKING:
    from lorajax.service.labels.answers import Answers


class LabelScreen(Answering):
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
        self._named = True
        self._shown: QuestionLoaded | None = None

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
        self.ask_on()

    def action_reload(self) -> None:
        """Asks anew, of the library as it is now."""
        self.ask_on()

    def action_choose(self, left: bool) -> None:
        """Writes the answer, and asks on."""
        question = self.question
        if question is None or self.is_busy:
            return
        nearer, other = question.left, question.right
        if not left:
            nearer, other = other, nearer
        names = (question.anchor.name, nearer.name, other.name)
        write = answer_service.write_answer
        self.write(lambda file: write(file, *names), [*self.answered, question])

    def action_skip(self) -> None:
        """Passes over a comparison, for good."""
        if (question := self.question) is None or self.is_busy:
            return
        names = (question.anchor.name, question.left.name, question.right.name)
        write = answer_service.write_skip
        self.write(lambda file: write(file, *names), [*self.answered, question])

    def action_undo(self) -> None:
        """Takes the last answer of this session back, and asks it again."""
        if self.is_busy:
            return
        if not self.answered:
            return self.notify("Nothing was answered since the start.", markup=False)
        *earlier, last = self.answered
        take_back = answer_service.take_back
        self.write(lambda file: take_back(file, last.identity), earlier, last)

    def action_names(self) -> None:
        """Hides the names, so that pictures alone speak; or shows them again."""
        self._named = not self._named
        if self._shown is not None:
            self._show_cards(self._shown)

    def action_raters(self) -> None:
        """Shows how far raters agree, and asks who answers."""
        dialog = RatersScreen(self.lorajax.state.rater)
        self.app.push_screen(dialog, self._change_rater)

    def _change_rater(self, rater: str | None) -> None:
        if rater is not None and rater != self.lorajax.state.rater:
            self.lorajax.remember(rater=rater)
            self.answered = []
            self.ask_on()

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
            self.app.call_from_thread(self.ask_on)

    def show_question(self, message: QuestionLoaded) -> None:
        self._shown = message
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

    def show_failure(self, error: LorajaxError) -> None:
        self._say("Nothing to ask", error.message, error.hint)

    def _say(self, title: str, text: str, hint: str) -> None:
        self.query_one(ContentSwitcher).current = "notice"
        self.query_one("#notice", Notice).say(title, text, hint)

    @on(Card.Clicked)
    def _card_clicked(self, message: Card.Clicked) -> None:
        if message.card in ("left", "right"):
            self.action_choose(message.card == "left")
