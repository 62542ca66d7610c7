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
from lorajax_tui.screens.frame import WIDE, Candid
from lorajax_tui.themes import colours
from lorajax_tui.widgets.meter import meter
from lorajax_tui.words import safe

if TYPE_CHECKING:
    from lorajax.service.likeness.explaining import Explanation, Part
    from lorajax_tui.app import LorajaxApp

_BAR, _NARROW_BAR = 20, 6
# Cells of a row beside the bar and the name, a scroll bar included; least of a name.
_OTHERS, _LEAST = 34, 12


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
        self._found: Explanation | None = None

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

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_parts)

    def on_unmount(self) -> None:
        self._asker.end()

    @on(ExplainFailed)
    def _show_failure(self, message: ExplainFailed) -> None:
        text = Text(f"{safe(message.error.message)}\n", colours(self.app)["error"])
        text.append(safe(message.error.hint), "dim")
        self.query_one("#why", Static).update(text)

    @on(Explained)
    def _show(self, message: Explained) -> None:
        self._found = found = message.explanation
        title = f"{safe(found.first)} and {safe(found.second)}: {found.similarity:.3f}"
        self.query_one(".dialog-title", Static).update(Text(title))
        self._show_parts()

    def _show_parts(self) -> None:
        found = self._found
        if found is None:
            return
        words = (
            "What each part adds, how alike its updates are, and how much of either "
        )
        words += "LoRA lies there."
        rest = Text(f"\n{found.rest:+.3f} is in no part", "dim")
        said = Group(Text(words, "dim"), Text(), self._table(found), rest)
        self.query_one("#why", Static).update(said)

    def _table(self, found: Explanation) -> Table:
        bar = _NARROW_BAR if self.size.width < WIDE else _BAR
        room = self.query_one(VerticalScroll).container_size.width - bar - _OTHERS
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("part", no_wrap=True)
        table.add_column("adds", no_wrap=True)
        for label in ("alike", "first", "second"):
            table.add_column(label, justify="right", no_wrap=True)
        largest = max((abs(g.contribution) for g in found.groups), default=0.0) or 1.0
        agreeing, differing = found.agreeing(), found.differing()
        for group in found.groups:
            colour = "accent" if group in agreeing else "primary"
            colour = "error" if group in differing else colour
            share = group.contribution / largest
            name = self._part_name(group, max(_LEAST, room), colour)
            table.add_row(name, *self._numbers(group, share, bar, colour))
        return table

    def _part_name(self, part: Part, room: int, colour: str) -> Text:
        """What a part is called, cut at its end, and how many modules it has."""
        found, modules = colours(self.app), f" ×{part.modules}"
        name = Text(safe(part.name), found[colour] if colour != "primary" else "")
        name.truncate(room - len(modules), overflow="ellipsis")
        return name.append(modules, "dim")

    def _numbers(
        self, part: Part, share: float, bar: int, colour: str
    ) -> tuple[Text, ...]:
        adds = meter(share, bar, colours(self.app), colour)
        adds.append(f" {part.contribution:+.3f}")
        alike = Text("–" if part.cosine is None else f"{part.cosine:.2f}")
        shares = (Text(f"{value:.0%}", "dim") for value in part.shares)
        return (adds, alike, *shares)
