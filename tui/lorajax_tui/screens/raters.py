"""Who answers, and how far those who have answered agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from lorajax.errors import LorajaxError
from lorajax.service.labels import raters as service
from lorajax_tui.messages import AgreementFound, AgreementNotFound
from lorajax_tui.screens.frame import SHORT_OR_TALL, Candid
from lorajax_tui.themes import colours
from lorajax_tui.widgets.meter import meter
from lorajax_tui.words import count, safe

if TYPE_CHECKING:
    from pathlib import Path

    from lorajax_tui.app import LorajaxApp

_BAR, _DISPUTED = 12, 50


class RatersScreen(Candid, ModalScreen[str | None]):
    """Asks who answers from now on, and hands back the name.

    Args:
      rater: who answers now.
    """

    VERTICAL_BREAKPOINTS = SHORT_OR_TALL
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close"),
        Binding("down", "scroll(1)", "Down", show=False),
        Binding("up", "scroll(-1)", "Up", show=False),
    ]

    def __init__(self, rater: str) -> None:
        super().__init__()
        self._rater = rater

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("Raters", classes="dialog-title")
            yield Static(
                "Everyone is asked the same, in the same order, and has a file beside "
                "the library. Who answers?",
                classes="dialog-text",
            )
            yield Input(self._rater, placeholder=service.SOMEBODY, id="rater")
            yield Static(id="complaint")
            with VerticalScroll(can_focus=False):
                yield Static("Looking …", id="agreement")
            yield Static(
                "Enter: this person answers · Esc closes", classes="dialog-foot"
            )

    def on_mount(self) -> None:
        self._find(cast("LorajaxApp", self.app).library)

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)

    @on(Input.Submitted)
    def _choose(self) -> None:
        name = self.query_one(Input).value.strip()
        try:
            service.rater_file(cast("LorajaxApp", self.app).library, name)
        except LorajaxError as error:
            words = f"{error.message}: {error.hint}"
            self.query_one("#complaint", Static).update(Text(safe(words)))
        else:
            self.dismiss("" if name == service.SOMEBODY else name)

    @work(thread=True, exit_on_error=False)
    def _find(self, library: Path) -> None:
        try:
            found = service.agreement(service.rater_files(library))
        except LorajaxError as error:
            self.post_message(AgreementNotFound(error))
        else:
            self.post_message(AgreementFound(found))

    @on(AgreementNotFound)
    def _show_failure(self, message: AgreementNotFound) -> None:
        error = message.error
        text = Text(safe(error.message), colours(self.app)["warning"])
        text.append(f"\n{safe(error.hint)}", "dim")
        self.query_one("#agreement", Static).update(text)

    @on(AgreementFound)
    def _show(self, message: AgreementFound) -> None:
        found = message.agreement
        answered = (
            f"{safe(rater)} {number:,}" for rater, number in found.answered.items()
        )
        text = Text().append("Answers: ", "dim")
        text.append(" · ".join(answered) or "none yet")
        text.append("\n\n")
        for pair in found.pairs:
            self._add_pair(text, pair)
        if not found.pairs:
            text.append("Agreement shows once two people have answered.", "dim")
        elif found.share is not None:
            text.append("By chance one half of the answers agree.\n", "dim")
        if found.disputed:
            title = f"\n{count(len(found.disputed), 'comparison')} seen differently\n"
            text.append(title, "bold")
        for disputed in found.disputed[:_DISPUTED]:
            text.append(f"more like {safe(disputed.anchor)}\n", "dim")
            for rater, name in disputed.said.items():
                text.append(f"  {safe(rater)}: {safe(name)}\n")
        self.query_one("#agreement", Static).update(text)

    def _add_pair(self, text: Text, pair: service.Pair) -> None:
        text.append(f"{safe(pair.one)} and {safe(pair.other)}\n", "bold")
        if pair.interval is None:
            text.append("  nothing was asked of both yet\n", "dim")
            return
        share, (low, high) = pair.agreed / pair.asked, pair.interval
        text.append("  ").append_text(meter(share, _BAR, colours(self.app)))
        text.append(f" {share:.0%}", "bold")
        text.append(f" of {pair.asked:,}, {low:.0%} to {high:.0%}\n", "dim")
