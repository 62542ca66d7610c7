"""Why two LoRAs are near: what every part of the network adds to their similarity."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from rich.console import Group
from rich.table import Table
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from lorajax.errors import LorajaxError
from lorajax_tui.asker import Asker
from lorajax_tui.messages import Explained, ExplainFailed
from lorajax_tui.screens.frame import Candid
from lorajax_tui.themes import colours
from lorajax_tui.widgets.meter import meter
from lorajax_tui.words import safe

if TYPE_CHECKING:
    from lorajax.service.likeness.explaining import Explanation, Part
    from lorajax_tui.app import LorajaxApp

_BAR = 20


class WhyScreen(Candid, ModalScreen[None]):
    """The parts of a similarity, those that add most first.

    Args:
      first, second: content keys.
      space: in which they were compared.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,w,q", "dismiss", "Close")]

    def __init__(self, first: str, second: str, space: str | None) -> None:
        super().__init__()
        self._asked = (first, second, space)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -wide"):
            yield Static("Why they are near", classes="dialog-title")
            with VerticalScroll():
                yield Static("Reading both files …", id="why")
            yield Static("Esc closes", classes="dialog-foot")

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        self._asker = Asker(cast("LorajaxApp", self.app).question)
        self._explain()

    @work(thread=True, exit_on_error=False)
    def _explain(self) -> None:
        """Asks a process of its own: in a trained space it needs jax."""
        from lorajax.service.likeness.search_documents import read_explanation

        app, (first, second, space) = cast("LorajaxApp", self.app), self._asked
        words = ["explain", first, second, "--library", str(app.library)]
        words += ["--space", space] if space else []
        try:
            answer = self._asker.answer(words)
            self.post_message(Explained(read_explanation(answer)))
        except LorajaxError as error:
            self.post_message(ExplainFailed(error))

    def on_unmount(self) -> None:
        self._asker.end()

    @on(ExplainFailed)
    def _show_failure(self, message: ExplainFailed) -> None:
        text = Text(f"{safe(message.error.message)}\n", colours(self.app)["error"])
        text.append(safe(message.error.hint), "dim")
        self.query_one("#why", Static).update(text)

    @on(Explained)
    def _show(self, message: Explained) -> None:
        found = message.explanation
        title = f"{safe(found.first)} and {safe(found.second)}: {found.similarity:.3f}"
        self.query_one(".dialog-title", Static).update(Text(title))
        words = (
            "What each part adds, how alike its updates are, and how much of either "
        )
        words += "LoRA lies there."
        rest = Text(f"\n{found.rest:+.3f} is in no part", "dim")
        said = Group(Text(words, "dim"), Text(), self._table(found), rest)
        self.query_one("#why", Static).update(said)

    def _table(self, found: Explanation) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("part", no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_column("adds", no_wrap=True)
        for label in ("alike", "first", "second"):
            table.add_column(label, justify="right", no_wrap=True)
        largest = max((abs(g.contribution) for g in found.groups), default=0.0) or 1.0
        agreeing, differing = found.agreeing(), found.differing()
        for group in found.groups:
            colour = "accent" if group in agreeing else "primary"
            colour = "error" if group in differing else colour
            table.add_row(*self._row(group, group.contribution / largest, colour))
        return table

    def _row(self, part: Part, share: float, colour: str) -> tuple[Text, ...]:
        found = colours(self.app)
        adds = meter(share, _BAR, found, colour).append(f" {part.contribution:+.3f}")
        alike = Text("–" if part.cosine is None else f"{part.cosine:.2f}")
        shares = (Text(f"{value:.0%}", "dim") for value in part.shares)
        name = Text(safe(part.name), found[colour] if colour != "primary" else "")
        return (name.append(f" ×{part.modules}", "dim"), adds, alike, *shares)
